"""A scorer that reads and ranks what its model knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from worker.training.data.histories import Histories
from worker.training.evaluation.known_items import KnownItemsScorer

KNOWN = np.array([False, True, True, False, True])


@dataclass
class ReadsItsLast:
    """Scores each item by its distance to the last of a history."""

    device: str = "cpu"
    reads: int = 1

    def __call__(self, histories: Histories) -> torch.Tensor:
        last = histories.items[histories.offsets[1:] - 1]
        return torch.from_numpy(-np.abs(np.arange(5.0) - last[:, None])).to(self.device)


def histories(*of: list[int]) -> Histories:
    offsets = np.append(0, np.cumsum([len(one) for one in of])).astype(np.int64)
    return Histories(offsets, np.array([item for one in of for item in one], dtype=np.int32))


def test_unknown_items_are_neither_read_nor_ranked_before_a_known_one() -> None:
    scores = KnownItemsScorer(ReadsItsLast(), KNOWN, torch.device("cpu"))(histories([1, 4, 3], [3], [2]))
    assert scores[0, 1:].argsort(descending=True).tolist() == [3, 1, 0, 2]  # 4 was read last, 3 stands behind
    assert len({float(score) for score in scores[1, [1, 2, 4]]}) == 1
    assert (scores[:, 3] < scores[:, [1, 2, 4]].amin(dim=1)).all()
    assert scores[2, 1:].argmax() == 1


def test_a_block_with_nothing_to_read_is_scored_where_the_model_is() -> None:
    scorer = KnownItemsScorer(ReadsItsLast("meta"), KNOWN, torch.device("meta"))
    for block in (histories([3], [3, 3]), histories([1], [2])):
        scores = scorer(block)
        assert (scores.device.type, scores.shape) == ("meta", (2, 5))
