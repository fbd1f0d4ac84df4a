"""Level 2 by the worst of a few drawn items: put in its place (arm `cascade_replacement` with `replace_by:
gradient`), or stepped towards (`perturb_towards: items`).

Ours (docs/method.md), in the manner of HotFlip (Ebrahimi et al., ACL 2018) and of this project's own gradient
attack at test time, but over drawn candidates: in a batch, the whole catalogue would cost more than the step.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from worker.training.adversary.perturbation import Adversary
from worker.training.data.sampling import CandidateReplacer, Candidates, HistoryReplacer, item_weights
from worker.training.data.sequences import Int32
from worker.training.spec import TrainSpec

Replacer = HistoryReplacer | CandidateReplacer
"""What draws for every batch where its history's items go, or what they are moved towards."""


def replacer_of(spec: TrainSpec, adversary: Adversary, items: Int32, n_items: int) -> Replacer | None:
    """Return what the adversary's level 2 draws items by; None where it draws none.

    items: the training interactions' items, by whose counts `replace_by: popularity` draws.
    """
    if not adversary.draws_items:
        return None
    if adversary.towards_items or spec.replace_by == "gradient":
        share = adversary.perturb_share if adversary.towards_items else adversary.replace_share
        return CandidateReplacer(n_items, spec.replace_candidates, share)
    return HistoryReplacer(item_weights(items, n_items, spec.replace_by), adversary.replace_share)


@torch.no_grad()
def worst_replacements(
    x_BL: Tensor, gradient_BLD: Tensor, table_VD: Tensor, candidates: Candidates
) -> Tensor:
    """Return x_BL with each chosen item replaced by its window's candidate c of the largest g_t · E[c].

    That is the largest rise of the loss to first order, g_t · (E[c] − E[x_t]), as E[x_t] is the same for all.
    gradient_BLD: the loss's gradient at the inputs' embeddings. An item is never replaced by itself; it stays
    where all its candidates are the item itself.
    """
    candidate_BC = candidates.item_BC
    # `embedding` gathers whole rows, indexing element by element: seven times as slow.
    rise_BLC = gradient_BLD.float() @ functional.embedding(candidate_BC, table_VD).transpose(1, 2)
    rise_BLC.masked_fill_(candidate_BC[:, None] == x_BL[:, :, None], -torch.inf)
    highest_BL, at_BL = rise_BLC.max(-1)
    worst_BL = candidate_BC.gather(1, at_BL)
    return torch.where(candidates.chosen_BL & (highest_BL > -torch.inf), worst_BL, x_BL)


@torch.no_grad()
def towards_worst_items(
    x_BL: Tensor, e_BLD: Tensor, gradient_BLD: Tensor, table_VD: Tensor, candidates: Candidates
) -> Tensor:
    """Return E[c] − e_t for each chosen input's worst candidate c, 0 where g_t = 0 or nothing else was drawn.

    e_BLD: the inputs' embeddings. Only the direction counts: how far a step goes is ε2's and w's to say.
    """
    worst_BL = worst_replacements(x_BL, gradient_BLD, table_VD, candidates)
    # Without a gradient no item is worse than another, and the first drawn would be taken.
    step_BLD = functional.embedding(worst_BL, table_VD).sub_(e_BLD)
    return step_BLD.mul_(gradient_BLD.norm(dim=-1, keepdim=True) > 0)
