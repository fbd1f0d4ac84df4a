"""One training step, on one screen: the method as docs/method.md tells it.

    L = L_rank + λ1 · L_match + λ2 · L_hist

Shape letters: B sequences, L padded width, D embedding width, N real positions (= targets).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor

from worker.training.adversary.matching import rank_and_match
from worker.training.adversary.perturbation import Adversary, history_perturbation
from worker.training.adversary.replacement import towards_worst_items, worst_replacements
from worker.training.data.batching import Batch
from worker.training.data.sampling import Candidates
from worker.training.draws import Draws
from worker.training.fitting.finite import FiniteGuard
from worker.training.losses.bce import BCE, Points, RankingLoss
from worker.training.losses.lookup import Lookup, give_back, look_up
from worker.training.models.base import SequenceModel


@dataclass(frozen=True)
class StepInputs:
    """A batch with its negatives, real positions gathered: x_BL, length_B, w_BL, m_BL as in `Batch`.

    real_N: int64 indices of the real positions into the flattened [B·L]; target_N: int64 items; negatives:
    what the loss's sampler drew (empty for a loss without); replaced_BL: x_BL with some items replaced, or
    candidates: what may replace some or be moved towards, where the adversary does any of it.
    """

    x_BL: Tensor
    length_B: Tensor
    w_BL: Tensor
    m_BL: Tensor
    real_N: Tensor
    target_N: Tensor
    negatives: Tensor
    replaced_BL: Tensor | None = None
    candidates: Candidates | None = field(default=None, kw_only=True)

    @classmethod
    def of(
        cls,
        batch: Batch,
        negatives: Tensor,
        device: torch.device,
        replaced: Tensor | Candidates | None = None,
    ) -> StepInputs:
        """Gather on the host, where `nonzero` waits for nothing, then copy to the device."""
        real_N = batch.m_BL.view(-1).nonzero().squeeze(1)
        target_N = batch.y_BL.view(-1)[real_N]
        host = [batch.x_BL, batch.length_B, batch.w_BL, batch.m_BL, real_N, target_N, negatives]
        inputs = cls(*(_moved(tensor, device) for tensor in host))
        if replaced is None:
            return inputs
        if isinstance(replaced, Candidates):
            candidates = Candidates(*(_moved(tensor, device) for tensor in replaced))
            return replace(inputs, candidates=candidates)
        return replace(inputs, replaced_BL=_moved(replaced, device))


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


@dataclass
class Streams:
    """Generators of dropout masks, on the model's device; perturbed passes have their own."""

    dropout: Draws
    perturbed: Draws


def training_step(
    model: SequenceModel,
    optimiser: torch.optim.Optimizer,
    inputs: StepInputs,
    adversary: Adversary,
    *,
    streams: Streams,
    guard: FiniteGuard,
    step: int,
    loss: RankingLoss[Any] = BCE,
    clip_norm: float = 0.0,
    precision: AbstractContextManager[object] | None = None,
) -> Tensor:
    """Take optimiser step number `step`; return float32[3]: L_rank, L_match, L_hist (0 where a level is off).

    Each is a mean over the batch's N targets. Raises DivergedError, before the optimiser moved anything, when
    a loss or a gradient is not finite. `clip_norm` bounds the global gradient norm, 0 does not; `precision`
    surrounds the forward passes (autocast).
    """
    precision = precision if precision is not None else nullcontext()
    # In place: a fresh dense gradient of the item table at every step costs more than zeroing the old one.
    optimiser.zero_grad(set_to_none=False)
    table_VD = model.item_embedding.weight
    x = look_up(table_VD, inputs.x_BL)
    ranked = look_up(table_VD, inputs.target_N), look_up(table_VD, inputs.negatives)
    lookups = [x, *ranked]
    match = history = torch.zeros((), device=inputs.x_BL.device)

    # Clean pass; the matching level perturbs its hidden states, so it costs no encoder pass of its own.
    with precision:
        points = encode_points(model, x.rows, inputs, loss, ranked=ranked, generator=streams.dropout)
        if adversary.matches:
            rank, match = rank_and_match(loss, points, adversary.epsilon_match)
        else:
            rank = loss(points)
    (rank + adversary.lambda_match * match if adversary.matches else rank).backward()  # type: ignore[no-untyped-call]

    # Second pass; the history moves along the gradient that the one backward pass has just left at it, or
    # towards the items that it points at most, or some of its items are others.
    if adversary.rewrites_history:
        gradient_BLD, candidates = cast(Tensor, x.rows.grad), inputs.candidates
        if adversary.replaces_history:
            replaced_BL = inputs.replaced_BL
            if candidates is not None:
                replaced_BL = worst_replacements(inputs.x_BL, gradient_BLD, table_VD, candidates)
            lookups.append(look_up(table_VD, cast(Tensor, replaced_BL)))
            second_BLD = lookups[-1].rows
        else:
            e_BLD, direction_BLD, w_BL = x.rows.detach(), gradient_BLD, inputs.w_BL
            if adversary.towards_items:
                drawn = cast(Candidates, candidates)
                direction_BLD = towards_worst_items(inputs.x_BL, e_BLD, gradient_BLD, table_VD, drawn)
                if adversary.perturb_share is not None:
                    w_BL = inputs.m_BL.float()  # the weights have decided which inputs are moved
            second_BLD = x.rows + history_perturbation(
                e_BLD, direction_BLD, w_BL, inputs.m_BL, adversary.epsilon_history
            )
        with precision:
            history = loss(
                encode_points(model, second_BLD, inputs, loss, ranked=ranked, generator=streams.perturbed)
            )
        (adversary.lambda_history * history).backward()  # type: ignore[no-untyped-call]

    give_back(table_VD, lookups)
    losses = torch.stack([rank.detach(), match.detach(), history.detach()])
    gradient_norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    guard.check(step, losses, gradient_norm, optimiser)
    if clip_norm > 0:
        torch.nn.utils.clip_grads_with_norm_(model.parameters(), clip_norm, gradient_norm)
    optimiser.step()
    return losses


def encode_points(
    model: SequenceModel,
    e_BLD: Tensor,
    inputs: StepInputs,
    loss: RankingLoss[Any],
    *,
    ranked: tuple[Lookup, Lookup],
    generator: Draws | None,
) -> Points[Any]:
    """Encode the inputs; gather what N real positions' scores are made of. ranked: targets and negatives."""
    scoring = model.scoring
    h_BLD = scoring.states(model.encode(e_BLD, inputs.length_B, generator))
    table_VD = model.item_embedding.weight
    if loss.reads_table:
        table_VD = scoring.vectors(table_VD)
    scored = (Lookup(items, scoring.vectors(rows)) for items, rows in ranked)
    return loss.points(table_VD, h_BLD, inputs.real_N, *scored)
