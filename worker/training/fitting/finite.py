"""The finite check: a loss that is no number ends a run before it can spoil the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from worker.training.progress import DivergedError

DEFERRED_STEPS = 50
"""Steps between two looks at a CUDA device's flag, where each look would be a sync."""


class FiniteGuard:
    """Stops a run whose loss or gradient is no number, before the optimiser takes the step.

    With every = 1 (CPU) each step is looked at directly. With every > 1 (CUDA, where a look is a sync) the
    bad step and all after it are masked out on the device by the fused optimiser, and the flag is read every
    so many steps and by `read`, so that weights that were saved or chosen are always sound.
    """

    def __init__(self, arm: str, seed: int, steps_per_epoch: int, *, every: int = 1) -> None:
        self._arm = arm
        self._seed = seed
        self._steps_per_epoch = steps_per_epoch
        self._every = every
        self._parts: Tensor | None = None
        self._first_bad: Tensor | None = None

    def check(self, step: int, losses: Tensor, norm: Tensor, optimiser: torch.optim.Optimizer) -> None:
        """Look at step `step` (from 1, over the whole arm): losses float[3], norm of the gradient."""
        parts = torch.cat([losses, norm.view(1)])
        if self._every == 1:
            if not math.isfinite(parts.sum().item()):
                raise self._error(step, parts)
            return
        if self._parts is None or self._first_bad is None:
            self._parts, self._first_bad = parts, parts.new_zeros((), dtype=torch.int64)
        self._parts = torch.where(self._first_bad > 0, self._parts, parts)
        bad_now = ~torch.isfinite(parts.sum())
        self._first_bad = torch.where((self._first_bad == 0) & bad_now, step, self._first_bad)
        # The fused optimiser skips a step while this is 1, as it does for torch's gradient scaler.
        optimiser.found_inf = (self._first_bad > 0).float()  # type: ignore[attr-defined]
        if step % self._every == 0:
            self.read()

    def read(self) -> None:
        """Raise DivergedError if a step since the last look was bad (a sync where every > 1)."""
        if self._first_bad is not None and self._parts is not None and (step := int(self._first_bad.item())):
            raise self._error(step, self._parts)

    def _error(self, step: int, parts: Tensor) -> DivergedError:
        names = ("ranking loss", "matching-level loss", "history-level loss", "gradient norm")
        bad = [
            f"{name} is {x}" for name, x in zip(names, parts.tolist(), strict=True) if not math.isfinite(x)
        ]
        epoch = (step - 1) // self._steps_per_epoch + 1
        return DivergedError(
            f"training diverged at step {step} (epoch {epoch}, arm {self._arm}, seed {self._seed}): "
            + (", ".join(bad) or "the losses' sum is not finite")
        )
