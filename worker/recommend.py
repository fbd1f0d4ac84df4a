"""Recommending to every user of a data set, in the light worker: parquet → numpy → parquet.

Run twice it is harmless, since a claim has a fencing number; if it dies the reaper wakes another attempt.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.errors import BlobDamagedError
from app.models.batches import Claim, claim, fail, release, renew, succeed
from worker.blob_files import PARQUET_TYPE, download, read_model_files, upload
from worker.durably import durably
from worker.hints import DAMAGED
from worker.kept_alive import NOTICED_SECONDS, kept_alive
from worker.resources import Resources
from worker.training.portable import ModelUnreadableError, PortableModel, load_model

ROWS_A_PART = 200_000
SCHEMA: Final = {"user": pl.String, "rank": pl.Int32, "item": pl.String, "score": pl.Float32}

_NAMED = 20
_LONGEST_MESSAGE = 2000

logger = logging.getLogger(__name__)


class _Stopped(Exception):  # noqa: N818 - not an error: the claim is gone, or the worker leaves
    """There is no reason to go on."""


def recommend_batch(batch_id: str, *, resources: Resources, stopping: threading.Event) -> None:
    """Make one attempt at a batch; does nothing when it does not wait. Given back when the worker leaves."""
    lease = resources.settings.lease_seconds
    with resources.database.unit_of_work() as session:
        claimed = claim(session, batch_id, lease_seconds=lease)
    if claimed is None:
        logger.info("batch %s does not wait", batch_id)
        return
    if claimed.interactions is None:
        _failed(
            resources, claimed, "dataset_gone", "The data set was deleted.", "Upload it again, ask again."
        )
        return
    hold = _Hold(resources, claimed, stopping)
    every = min(lease / 3, NOTICED_SECONDS)
    with (
        tempfile.TemporaryDirectory(prefix="steadyrank-") as folder,
        kept_alive(hold.renewed, seconds=every, what=f"batch {batch_id}"),
    ):
        try:
            model = load_model(read_model_files(resources.blobs, claimed.files))
            source = Path(folder) / "interactions.parquet"
            download(resources.blobs, claimed.interactions, source)
            run = _Run(claimed, model, Path(folder), hold)
            run.over(pl.read_parquet(source))
            _store(resources, claimed, run)
        except ModelUnreadableError as error:
            _failed(resources, claimed, "model_unreadable", str(error), "Train it again.")
        except BlobDamagedError as error:
            _failed(resources, claimed, error.code, error.detail, DAMAGED)
        except _Stopped:
            with resources.database.unit_of_work() as session:
                release(session, claimed)
            logger.info("batch %s: given back, or no longer this attempt's", batch_id)
        except (OperationalError, OSError, MemoryError):
            raise  # the machine's fault: another attempt may fare better
        except Exception as error:
            # Told at once, rather than after as many attempts that end the same way.
            logger.exception("batch %s failed", batch_id)
            what = f"Recommending failed: {type(error).__name__}: {error}"[:_LONGEST_MESSAGE]
            hint = "A fault of the service; the light worker's log has the traceback under the batch's id."
            _failed(resources, claimed, "internal", what, hint)


@dataclass
class _Hold:
    """This attempt's hold of the batch, renewed by another thread from the claim to the end."""

    resources: Resources
    claimed: Claim
    stopping: threading.Event
    users_done: int = 0
    _lost: bool = False

    def renewed(self) -> bool:
        """Renew the lease; False when the batch is no longer this attempt's."""
        lease = self.resources.settings.lease_seconds
        with self.resources.database.unit_of_work() as session:
            mine = renew(session, self.claimed, users_done=self.users_done, lease_seconds=lease)
        self._lost = not mine
        return mine

    def require(self) -> None:
        """_Stopped when the worker leaves or another one has the batch.

        A database that is away for a while is no reason: whether the batch is still ours shows when it is
        stored.
        """
        if self.stopping.is_set() or self._lost:
            raise _Stopped


@dataclass
class _Run:
    """One pass over the users; rows are kept in parts on disk, so that memory does not grow with them."""

    claimed: Claim
    model: PortableModel
    folder: Path
    hold: _Hold
    unknown: Counter[str] = field(default_factory=Counter)
    users: int = 0
    recommended: int = 0
    rows: int = 0
    _parts: list[Path] = field(default_factory=list)
    _columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in SCHEMA})

    def over(self, interactions: pl.DataFrame) -> None:
        """Recommend to each user after the user's items in time's order, those unknown left out."""
        known = set(self.model.item_ids)
        k, exclude_seen = int(self.claimed.options["k"]), bool(self.claimed.options["exclude_seen"])
        histories = interactions.group_by("user", maintain_order=True).agg(pl.col("item"))
        for user, items in histories.iter_rows():
            self.hold.require()
            history = [item for item in items if item in known]
            self.unknown.update(item for item in items if item not in known)
            self.users += 1
            self.hold.users_done = self.users
            if not history:
                continue
            found = self.model.recommend(history, k, exclude_seen)
            self.recommended += 1
            self._columns["user"] += [user] * len(found)
            self._columns["rank"] += range(1, len(found) + 1)
            self._columns["item"] += [item for item, _ in found]
            self._columns["score"] += [score for _, score in found]
            if len(self._columns["user"]) >= ROWS_A_PART:
                self._write_part()
        self._write_part()

    def whole(self) -> Path:
        """All parts as one file."""
        target = self.folder / "recommendations.parquet"
        pl.scan_parquet(self._parts).sink_parquet(target)
        return target

    def stats(self) -> dict[str, Any]:
        """What the batch's object tells."""
        return {
            "users": self.users,
            "recommended_users": self.recommended,
            "rows": self.rows,
            "unknown_items": len(self.unknown),
            "unknown_interactions": self.unknown.total(),
            "unknown_examples": list(self.unknown)[:_NAMED],
        }

    def _write_part(self) -> None:
        part = self.folder / f"part-{len(self._parts):06}.parquet"
        pl.DataFrame(self._columns, schema=SCHEMA).write_parquet(part)
        self.rows += len(self._columns["user"])
        self._parts.append(part)
        for values in self._columns.values():
            values.clear()


def _store(resources: Resources, claimed: Claim, run: _Run) -> None:
    writer = upload(run.whole(), resources.blobs, PARQUET_TYPE)

    def store(session: Session) -> None:
        if not succeed(session, claimed, writer.finish(session), run.stats()):
            raise _Stopped  # what was written goes with the transaction

    try:
        durably(resources.database, store)
    except BaseException:
        writer.abort()
        raise
    logger.info("batch %s succeeded: %s", claimed.batch_id, run.stats())


def _failed(resources: Resources, claimed: Claim, code: str, message: str, hint: str) -> None:
    durably(resources.database, lambda session: fail(session, claimed, code=code, message=message, hint=hint))
    logger.info("batch %s failed: %s", claimed.batch_id, message)
