"""What a training of this phase leaves: every user's top-10 list, arm by arm, kept until the job is done.

Kept as a `best` checkpoint of its own name, in place of the weights it came from, so that a run that is taken
up again goes on with the next training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from worker.training.data.sequences import Int64
from worker.training.fitting.checkpoint import pack, unpack
from worker.training.progress import CheckpointKey, CheckpointStore, CheckpointUnreadableError


@dataclass(frozen=True)
class TopLists:
    """By arm: lists int64[E, K], rows in the order of the split's test users, and clean test NDCG@10."""

    lists: dict[str, Int64]
    ndcg: dict[str, float]


def keep_lists(
    checkpoints: CheckpointStore, key: CheckpointKey, found: TopLists, of: Mapping[str, Any]
) -> None:
    """Keep the lists; `of` says what they belong to."""
    tensors = {arm: torch.from_numpy(lists).int() for arm, lists in found.lists.items()}
    checkpoints.save(key, pack(tensors, {"of": dict(of), "ndcg": found.ndcg}))


def read_lists(checkpoints: CheckpointStore, key: CheckpointKey, of: Mapping[str, Any]) -> TopLists | None:
    """Return what `keep_lists` kept of the same; None if nothing was, or it cannot be read."""
    for _, payload in checkpoints.load(key.kind, key.seed, key.arm):
        try:
            tensors, state = unpack(payload)
        except CheckpointUnreadableError:  # it will be made anew
            continue
        if state.get("of") == dict(of):
            return TopLists({arm: each.long().numpy() for arm, each in tensors.items()}, state["ndcg"])
    return None
