"""What is stored of a run's arms, read back: the newest that can be, if it belongs to this run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from worker.training.fitting.checkpoint import unpack
from worker.training.fitting.state import Weights, check_identity
from worker.training.progress import (
    CheckpointKey,
    CheckpointKind,
    CheckpointStore,
    CheckpointUnreadableError,
    Progress,
)

WARMUP: Final = "warmup"
"""Under this name stands what the arms of a seed share."""


@dataclass(frozen=True)
class Stored:
    """A payload that was stored, unpacked."""

    key: CheckpointKey
    tensors: Weights
    state: dict[str, Any]


class StoredArms:
    """The checkpoints of the arms of one run.

    identity, warmup_identity: of `identity_of` and `warmup_identity_of`; payloads of others are not taken.
    """

    def __init__(
        self,
        checkpoints: CheckpointStore,
        progress: Progress,
        *,
        identity: dict[str, Any],
        warmup_identity: dict[str, Any],
    ) -> None:
        self._checkpoints = checkpoints
        self._progress = progress
        self._identity = identity
        self._warmup_identity = warmup_identity

    def identity_of(self, arm: str, seed: int) -> dict[str, Any]:
        """What a checkpoint of the arm must say of where it belongs."""
        identity = self._warmup_identity if arm == WARMUP else self._identity
        return {**identity, "arm": arm, "seed": seed}

    def has_begun(self, arm: str, seed: int) -> bool:
        """Whether something of the arm itself, beyond the shared warm-up, is stored."""
        kinds: tuple[CheckpointKind, ...] = ("best", "progress")
        return any(self._checkpoints.load(kind, seed, arm) for kind in kinds)

    def read(self, kind: CheckpointKind, seed: int, arm: str) -> Stored | None:
        """Return the newest payload that can be read; None when nothing of the kind is stored.

        Raises CheckpointUnreadableError when none of them can be, or it belongs to another run.
        """
        payloads = self._checkpoints.load(kind, seed, arm)
        for key, payload in payloads:
            try:
                tensors, state = unpack(payload)
            except CheckpointUnreadableError as error:
                self._progress.event(
                    "checkpoint_unreadable",
                    f"{kind} checkpoint of arm {arm}, seed {seed}, step {key.step}: {error}",
                    {"kind": kind, "arm": arm, "seed": seed, "step": key.step},
                )
                continue
            check_identity(state.get("identity"), self.identity_of(arm, seed))
            return Stored(key, tensors, state)
        if payloads:
            raise CheckpointUnreadableError(
                f"none of the {len(payloads)} {kind} checkpoints of arm {arm}, seed {seed} can be read",
                hint="Start the run again.",
            )
        return None
