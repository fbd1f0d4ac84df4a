"""torch's fused Adam and AdamW without what torch.compile adds to them.

The first optimiser that a process makes imports the compiler, which takes as long as torch itself; and each
of its steps asks whether it is being compiled, which takes as long as the update of a small model. Nothing is
compiled here. The arithmetic is torch's: the same kernel, given the same.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor


class FusedAdam(torch.optim.Adam):
    """`torch.optim.Adam(fused=True)`, to the bit; with `decoupled` as in `torch.optim.AdamW`.

    `found_inf`, where a caller has set it: the step is skipped on the device while it is 1.
    """

    found_inf: Tensor | None = None

    # These four are all that the compiler's decorator is on, but for the step.
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)

    def __init__(
        self,
        params: Any,
        *,
        lr: float,
        betas: tuple[float, float],
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            weight_decay=weight_decay,
            fused=True,
            decoupled_weight_decay=decoupled,
        )

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step with the gradients that the parameters hold. `closure` is not used."""
        for group in self.param_groups:
            parts: list[list[Tensor]] = [[] for _ in range(6)]
            self._init_group(group, *parts)  # type: ignore[no-untyped-call]
            steps = parts[-1]
            torch._foreach_add_(steps, 1)
            beta1, beta2 = group["betas"]
            update = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_
            update(
                *parts,
                lr=group["lr"],
                beta1=beta1,
                beta2=beta2,
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
                grad_scale=None,
                found_inf=self.found_inf,
            )
            if self.found_inf is not None:
                torch._foreach_sub_(steps, [self.found_inf] * len(steps))
