"""The replacement that hurts a model most, to first order: the attack that knows the model's gradients.

Ours (docs/method.md): at each replaced place the item i with the largest g · (E[i] − E[x]), where g is the
gradient of the target's loss at that input's embedding in the *clean* history. Each place is chosen by
itself, as if it were the only one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from worker.training.data.histories import Histories
from worker.training.data.sequences import Int64
from worker.training.evaluation.scorers import DifferentiableScorer


@dataclass(frozen=True)
class WorstItems:
    """gradients [n, longest window, D] of some users' losses (`loss_gradients`); vectors [V+1, D]."""

    gradients: torch.Tensor
    vectors: torch.Tensor

    @classmethod
    def of(cls, scorer: DifferentiableScorer, histories: Histories, targets: Int64) -> WorstItems:
        """Differentiate the losses of these users."""
        return cls(scorer.loss_gradients(histories, targets), scorer.item_vectors())

    def choose(self, users: Int64, histories: Histories, places: Int64, targets: Int64) -> Int64:
        """int64[m, C]: the worst item at each place, neither the target nor one of the history; 0: none left.

        users int64[m]: rows of the gradients; m histories, places [m, C] and targets [m] are theirs.
        """
        device = self.gradients.device
        row, target = torch.from_numpy(users).to(device), torch.from_numpy(targets).to(device)
        row_of_item = torch.from_numpy(histories.row_of_item).to(device)
        items = torch.from_numpy(histories.items).to(device, torch.int64)
        chosen = []
        for place in torch.from_numpy(places.T.copy()).to(device):
            # E[x] is the same for every candidate of a place.
            rise = self.gradients[row, place] @ self.vectors.T
            rise[row_of_item, items] = -torch.inf
            rise.scatter_(1, target[:, None], -torch.inf)
            rise[:, 0] = -torch.inf
            best, item = rise.max(1)
            chosen.append(item.masked_fill(best == -torch.inf, 0))
        found: Int64 = torch.stack(chosen, 1).cpu().numpy()
        return found
