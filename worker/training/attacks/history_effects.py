"""Cascade effects of the interactions that a model reads at test time: which of them training touched most.

A history's interaction keeps the effect C(u, t) that it had in *training* (`cascade.cascade_effects`, with
the spec's windows and κ, whatever arm is attacked). The newest interactions of a history were no input of
training (the last training interaction is only a target, what was held out not even that): they have own = 0
and count the others' predictions alone. With κ = 0 the highest effects are the window's start.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from worker.training.adversary.cascade import cascade_effects
from worker.training.data.batching import cut_windows
from worker.training.data.histories import Histories
from worker.training.data.sequences import Int64
from worker.training.data.split import EvaluationPhase, Split
from worker.training.spec import TrainSpec

Float64 = npt.NDArray[np.float64]


class HistoryEffects:
    """C of every place in the windows of a split's histories; a place is counted from the end, 0 is last."""

    def __init__(self, split: Split, spec: TrainSpec, phase: EvaluationPhase) -> None:
        self._held_out = split.held_out(phase)
        self._kappa = spec.kappa
        windows = cut_windows(split.train, spec.max_length, spec.windows_per_user)
        own = cascade_effects(windows, split.n_items, 0.0)
        self._own_of_item = np.bincount(windows.flat_inputs(), weights=own, minlength=split.n_items + 1)

    def of(self, histories: Histories, windows: Int64, rows: Int64 | None = None) -> Float64:
        """float64[n, longest window]: C at each place; minus infinity past a row's window (int64[n]).

        rows: int64[n], which of the phase's histories these are; None is all of them.
        """
        held_out = self._held_out if rows is None else self._held_out[rows]
        places = np.arange(windows.max(initial=1))
        inside = places < windows[:, None]
        at = histories.offsets[1:, None] - 1 - np.where(inside, places, 0)
        # Every later training interaction of the window is one prediction that read this one.
        own = np.maximum(places - held_out[:, None], 0)
        effects = own + self._kappa * (self._own_of_item[histories.items[at]] - own)
        return np.where(inside, effects, -np.inf)

    def highest(self, histories: Histories, windows: Int64, count: int, rows: Int64 | None = None) -> Int64:
        """int64[n, count]: the places of highest effect, highest first; of equal ones the oldest."""
        oldest_first = self.of(histories, windows, rows)[:, ::-1]
        order = np.argsort(-oldest_first, axis=1, kind="stable")[:, :count]
        places: Int64 = oldest_first.shape[1] - 1 - order
        return places
