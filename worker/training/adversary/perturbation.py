"""The two adversarial levels: where, and how far, the worst small change of an embedding lies.

The abstract of "Towards More Robust and Accurate Sequential Recommendation with Cascade-guided Adversarial
Training" (arXiv 2304.05492) fixes two levels, one of which perturbs the history items' embeddings re-scaled
by cascade effects. The exact formulas are this project's (docs/method.md).

Both levels move a vector by ``Δ = ε · s · g / ‖g‖`` (g / ‖g‖ = 0 where g = 0), g the loss's gradient there
and s the mean length of the real vectors of that kind in the batch: ε is a fraction of an embedding's
length at every width, model and epoch. Perturbations are constants: no gradient flows through them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.training.losses.bce import Points, RivalsT
from worker.training.settings import Arm
from worker.training.spec import TrainSpec


@dataclass(frozen=True)
class Adversary:
    """Strengths of the two levels. ε or λ = 0 switches a level off: no term, no random draw.

    Level 2 moves the history's embeddings (ε2), along the gradient or (towards_items) to other items',
    or it replaces items (replace_share). perturb_share: the mean share of the embeddings that is moved
    towards items, by chance; None moves all, by lengths. Other items are no idea of the paper's.
    """

    epsilon_match: float
    lambda_match: float
    epsilon_history: float
    lambda_history: float
    replace_share: float = 0.0
    towards_items: bool = False
    perturb_share: float | None = None

    @property
    def matches(self) -> bool:
        """Whether level 1 is on."""
        return self.epsilon_match > 0 and self.lambda_match > 0

    @property
    def rewrites_history(self) -> bool:
        """Whether level 2 is on, in either form."""
        return (self.epsilon_history > 0 or self.replace_share > 0) and self.lambda_history > 0

    @property
    def perturbs_history(self) -> bool:
        """Whether level 2 is on and moves embeddings."""
        return self.rewrites_history and not self.replaces_history

    @property
    def replaces_history(self) -> bool:
        """Whether level 2 is on and replaces items."""
        return self.replace_share > 0 and self.lambda_history > 0

    @property
    def draws_items(self) -> bool:
        """Whether level 2 is on and needs items drawn for every batch."""
        return self.replaces_history or (self.perturbs_history and self.towards_items)


OFF = Adversary(0.0, 0.0, 0.0, 0.0)
"""Standard training."""


def adversary_of(spec: TrainSpec, arm: Arm) -> Adversary:
    """Return the adversary that an arm trains against after the warm-up."""
    if arm == "standard":
        return OFF
    if arm == "cascade_replacement":
        return Adversary(spec.epsilon_match, spec.lambda_match, 0.0, spec.lambda_history, spec.replace_share)
    return Adversary(
        spec.epsilon_match,
        spec.lambda_match,
        spec.epsilon_history,
        spec.lambda_history,
        towards_items=spec.perturb_towards == "items",
        perturb_share=spec.perturb_share,
    )


def perturb_points(points: Points[RivalsT], gradients: tuple[Tensor, ...], epsilon: float) -> Points[RivalsT]:
    """Level 1: each of h, E[y], … (each [N, D]) moved along its own gradient; still differentiable."""
    moved = [
        point + ascent(gradient, epsilon * point.detach().norm(dim=-1).mean())
        for point, gradient in zip(points.vectors, gradients, strict=True)
    ]
    return Points(tuple(moved), points.rivals)


@torch.no_grad()
def history_perturbation(
    e_BLD: Tensor, direction_BLD: Tensor, w_BL: Tensor, m_BL: Tensor, epsilon: float
) -> Tensor:
    """Level 2: δ_BLD = ε2 · s · w · g / ‖g‖, 0 on padding.

    e_BLD: the inputs' embeddings; direction_BLD: g, the loss's gradient at them or what leads to other items
    (adversary/replacement.py); w_BL: cascade weights (1 = generic); m_BL: bool, true on real inputs, over
    which the mean length s is taken.
    """
    mean_length = (e_BLD.norm(dim=-1) * m_BL).sum() / m_BL.sum()
    return ascent(direction_BLD, epsilon * mean_length * w_BL * m_BL)


def ascent(gradient: Tensor, length: Tensor) -> Tensor:
    """Return vectors along `gradient` [..., D] of the given `length` ([...] or one for all); 0 along 0."""
    norm = gradient.norm(dim=-1)
    # Below the root of the smallest normal number (1e-19 in float32) the squares in the norm underflow: no
    # direction is known there, and such a gradient counts as zero.
    factor = torch.where(norm > math.sqrt(torch.finfo(norm.dtype).tiny), length / norm, 0.0)
    return gradient * factor.unsqueeze(-1)
