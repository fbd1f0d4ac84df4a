"""The training library's port for checkpoints, over the database: those of one job, saved by one attempt.

Every write is in a transaction that first locks the job's row by (id, attempt): once the lease is another
worker's, `LeaseLost` ends this run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models.checkpoint import Checkpoint
from app.db.session import Database
from app.errors import BlobDamagedError
from app.jobs.claims import Claim, hold
from app.storage.blobs import BlobStore
from worker.durably import durably, patiently
from worker.training.progress import CheckpointKey, CheckpointKind, CheckpointUnreadableError

logger = logging.getLogger(__name__)

CHECKPOINT_TYPE = "application/x-safetensors"
_KEPT = {"progress": 2, "warmup": 1, "best": 1}


class JobCheckpoints:
    """Checkpoints of a job, as blobs. What earlier attempts saved is loaded; what is out of date is freed."""

    def __init__(
        self, database: Database, blobs: BlobStore, claimed: Claim, *, beat: Callable[[], None]
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._claimed = claimed
        self._beat = beat

    def save(self, key: CheckpointKey, payload: bytes) -> None:
        """Store it, and free all but the newest of its kind, arm and seed: two in mid-run, else one."""

        def write(session: Session) -> None:
            # The bytes are written on their own connections before the row is locked.
            blob = self._blobs.put(session, payload, CHECKPOINT_TYPE)
            hold(session, self._claimed)
            session.add(
                Checkpoint(
                    job_id=self._claimed.job_id,
                    attempt=self._claimed.attempt,
                    kind=key.kind,
                    seed=key.seed,
                    arm=key.arm,
                    epoch=key.epoch,
                    step=key.step,
                    blob_id=blob.id,
                    bytes=blob.size,
                    sha256=blob.sha256,
                )
            )
            session.flush()
            self._free(session, self._rows(session, key.kind, key.seed, key.arm)[_KEPT[key.kind] :])

        durably(self._database, write)
        self._beat()

    def load(self, kind: CheckpointKind, seed: int, arm: str) -> list[tuple[CheckpointKey, bytes]]:
        """What is kept of that kind, newest first, without what turns out damaged.

        Raises:
            CheckpointUnreadableError: There are checkpoints, and every one is damaged.

        """
        rows = durably(self._database, lambda session: self._rows(session, kind, seed, arm))
        found: list[tuple[CheckpointKey, bytes]] = []
        for row in rows:
            try:
                payload = patiently(partial(self._whole, row.blob_id))
            except BlobDamagedError as error:
                logger.warning("checkpoint %s is damaged: %s", row.id, error)
                continue
            found.append((CheckpointKey(kind, seed, arm, row.epoch, row.step), payload))
            self._beat()
        if rows and not found:
            raise CheckpointUnreadableError(
                f"None of the {len(rows)} {kind} checkpoints of arm {arm}, seed {seed} can be read back.",
                hint="Submit the job again; the stored bytes are damaged.",
            )
        return found

    def discard(self, kind: CheckpointKind, seed: int, arm: str) -> None:
        """Free what is kept of that kind."""

        def write(session: Session) -> None:
            hold(session, self._claimed)
            self._free(session, self._rows(session, kind, seed, arm))

        durably(self._database, write)

    def discard_all(self) -> None:
        """Free everything that is kept of the job."""

        def write(session: Session) -> None:
            hold(session, self._claimed)
            of_job = select(Checkpoint).where(Checkpoint.job_id == self._claimed.job_id)
            self._free(session, list(session.execute(of_job).scalars()))

        durably(self._database, write)

    def _whole(self, blob_id: str) -> bytes:
        return b"".join(self._blobs.read(blob_id))

    def _rows(self, session: Session, kind: str, seed: int, arm: str) -> list[Checkpoint]:
        newest_first = (Checkpoint.attempt.desc(), Checkpoint.step.desc(), Checkpoint.id.desc())
        return list(
            session.execute(
                select(Checkpoint)
                .where(
                    Checkpoint.job_id == self._claimed.job_id,
                    Checkpoint.kind == kind,
                    Checkpoint.seed == seed,
                    Checkpoint.arm == arm,
                )
                .order_by(*newest_first)
            ).scalars()
        )

    def _free(self, session: Session, rows: list[Checkpoint]) -> None:
        for row in rows:
            session.delete(row)
        session.flush()
        self._blobs.delete(session, *(row.blob_id for row in rows))
