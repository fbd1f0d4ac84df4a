"""A model on a data set that has items which it does not know.

The rules (ours, docs/method.md): users, targets, candidates and attacks are the data set's, the same for
every model. Items that the model does not know are left out of a history before it is read, and stand behind
all others in the ranking. A target that the model never saw in training is a miss, and so is
every target of a user of whose history it knows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from worker.training.data.histories import Histories
from worker.training.data.sequences import Int32, Int64, Sequences
from worker.training.data.split import Bool, EvaluationPhase, Split
from worker.training.evaluation.scorers import Scorer

_WHOLE_HISTORY = 2**31 - 1


@dataclass(frozen=True)
class SplitForModel:
    """A Split whose misses are one model's.

    known bool[V+1]: items that the model can read and rank; trained bool[V+1]: those it was trained on.
    """

    whole: Split
    known: Bool
    trained: Bool

    @property
    def train(self) -> Sequences:
        """See `Split.train`: of the data set, not what the model was trained on."""
        return self.whole.train

    @property
    def item_counts(self) -> Int64:
        """See `Split.item_counts`."""
        return self.whole.item_counts

    @property
    def n_items(self) -> int:
        """V."""
        return self.whole.n_items

    def users(self, phase: EvaluationPhase) -> Int64:
        """See `Split.users`."""
        return self.whole.users(phase)

    def targets(self, phase: EvaluationPhase) -> Int32:
        """See `Split.targets`."""
        return self.whole.targets(phase)

    def histories(self, phase: EvaluationPhase) -> tuple[Int64, Int32]:
        """See `Split.histories`: unknown items included."""
        return self.whole.histories(phase)

    def held_out(self, phase: EvaluationPhase) -> Int64:
        """See `Split.held_out`."""
        return self.whole.held_out(phase)

    def misses(self, phase: EvaluationPhase) -> Bool:
        """See `Split.misses`."""
        return ~self.trained[self.targets(phase)] | self.without_known_history(phase)

    def without_known_history(self, phase: EvaluationPhase) -> Bool:
        """bool[E]: who has no item in the history that the model knows."""
        histories = Histories(*self.histories(phase))
        known = self.known[histories.items]
        nothing: Bool = np.bincount(histories.row_of_item[known], minlength=len(histories)) == 0
        return nothing

    def facts(self) -> dict[str, Any]:
        """See `Split.facts`."""
        return self.whole.facts()


@dataclass(frozen=True)
class KnownItemsScorer:
    """A Scorer around a model's that reads and ranks what the model knows.

    known: bool[V+1]. device: the model's, on which a block that has nothing to read is scored too.
    """

    model: Scorer
    known: Bool
    device: torch.device

    @property
    def reads(self) -> int:
        """All of a history: how far back the model reads depends on how much is left out."""
        return _WHOLE_HISTORY

    def __call__(self, histories: Histories) -> torch.Tensor:
        """Score; all known items alike for a history without any, unknown ones below the lowest of a row."""
        kept = self.known[histories.items]
        lengths = np.bincount(histories.row_of_item[kept], minlength=len(histories))
        offsets = np.append(0, np.cumsum(lengths)).astype(np.int64)
        left = Histories(offsets, histories.items[kept])
        readable = np.flatnonzero(lengths)
        if len(readable):
            found = self.model(left.take(readable))
        else:
            found = torch.zeros(0, len(self.known), device=self.device)
        scores = torch.zeros(len(histories), len(self.known), dtype=found.dtype, device=self.device)
        scores[torch.from_numpy(readable).to(self.device)] = found
        lowest = scores.amin(dim=1, keepdim=True)
        unknown = torch.from_numpy(~self.known).to(self.device)
        # Twice its size further down, so that no rounding makes it equal.
        return torch.where(unknown[None, :], lowest - 1.0 - lowest.abs(), scores)
