"""Reading an uploaded data set, in the light worker: blob → file → interactions → parquet, or problems.

Run twice it is harmless, since a claim has a fencing number. If it dies (a file can be larger than the
memory) the reaper wakes another attempt, and rejects the data set after the last one. If its worker is told
to leave, the data set is given back at once for another one, and counts as not begun.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy.orm import Session

from app.accounts.quotas import require_room, require_rows
from app.datasets.forgetting import delete_earlier, is_needed, record
from app.datasets.validation import Claim, Reading, accept, claim_validation, reject, release, renew
from app.db.models.dataset import Dataset
from app.limit_errors import QuotaExceeded
from worker.blob_files import PARQUET_TYPE, download, upload
from worker.dataset_content import Content, content_of_file, content_of_parent
from worker.durably import durably
from worker.kept_alive import NOTICED_SECONDS, kept_alive
from worker.resources import Resources
from worker.training.data.readers.problems import Problem, UnreadableDataset
from worker.training.data.readers.read import ReadOptions
from worker.training.data.readers.source import refuse

_READER_FAILED = Problem(
    code="reader_failed",
    message="the file could not be read, for a reason that is the service's own",
    pointer="/",
    hint="The light worker's log names the reason under the data set's id; please report it.",
)

logger = logging.getLogger(__name__)


def validate_dataset(dataset_id: str, *, resources: Resources, stopping: threading.Event) -> None:
    """Make one attempt at reading a data set; does nothing when it does not wait to be read.

    stopping: set when the worker leaves; what is read by then is not waited for.
    """
    lease = resources.settings.lease_seconds
    with resources.database.unit_of_work() as session:
        claim = claim_validation(session, dataset_id, lease_seconds=lease)
    if claim is None:
        logger.info("data set %s does not wait to be read", dataset_id)
        return
    with _kept_alive(resources, claim, stopping), tempfile.TemporaryDirectory(prefix="steadyrank-") as folder:
        try:
            content = _content(resources, claim, _fetched(resources, claim, Path(folder)))
        except UnreadableDataset as error:
            _rejected(resources, claim, error.problems)
            return
        canonical = Path(folder) / "interactions.parquet"
        content.interactions.write_parquet(canonical)
        _accepted(resources, claim, content, canonical)


def _fetched(resources: Resources, claim: Claim, folder: Path) -> Path:
    """The uploaded file, or the interactions of the data set that this one is made of; on disk.

    UnreadableDataset when that is gone. Other errors are not the file's fault: it is tried again.
    """
    source = folder / "source"
    if claim.original_blob is not None:
        download(resources.blobs, claim.original_blob, source)
        return source
    lineage = claim.lineage or {}

    def interactions(session: Session) -> str | None:
        parent = session.get(Dataset, lineage["parent"])
        return None if parent is None else parent.canonical_blob

    blob_id = durably(resources.database, interactions)
    if blob_id is None:
        hint = "Upload it again, and ask for the transforms of that."
        refuse(
            "parent_deleted", f"the data set {lineage['parent']} is no longer there", hint, "/lineage/parent"
        )
    download(resources.blobs, blob_id, source)
    return source


def _content(resources: Resources, claim: Claim, source: Path) -> Content:
    """What the file says, or becomes. UnreadableDataset, also for a fault of the reader itself."""
    try:
        if claim.original_blob is not None:
            return content_of_file(source, _options(claim, resources), claim.filename)
        transforms = (claim.lineage or {})["transforms"]
        return content_of_parent(pl.read_parquet(source), transforms, claim.to_forget)
    except (UnreadableDataset, OSError, MemoryError):
        raise  # the latter are the machine's fault, not the file's: another attempt may fare better
    except (Exception, pl.exceptions.PanicException) as error:
        # Told at once, rather than after as many attempts that end the same way.
        logger.exception("reading data set %s failed", claim.dataset_id)
        raise UnreadableDataset([_READER_FAILED]) from error


def _options(claim: Claim, resources: Resources) -> ReadOptions:
    settings = resources.settings
    return ReadOptions(**claim.options, max_rows=settings.max_rows, max_bytes=settings.max_decompressed_bytes)


def _rejected(resources: Resources, claim: Claim, problems: Sequence[Problem]) -> None:
    told = [asdict(problem) for problem in problems]
    settled = durably(resources.database, lambda session: reject(session, claim, told))
    why = "; ".join(problem.message for problem in problems)
    logger.info("data set %s rejected (claim held: %s): %s", claim.dataset_id, settled, why)


def _accepted(resources: Resources, claim: Claim, content: Content, canonical: Path) -> None:
    reading = Reading(
        format=content.format,
        columns=content.columns,
        stats=content.stats,
        problems=[asdict(problem) for problem in content.problems],
        content_sha256=content.content_sha256,
        findings=content.findings,
        preview=content.preview,
        made=None if claim.lineage is None else _made(claim.lineage, content, canonical),
    )
    writer = upload(canonical, resources.blobs, PARQUET_TYPE)

    def ready(session: Session) -> None:
        _require_quotas(session, resources, claim, reading)
        if not accept(session, claim, reading, writer.blob_id):
            raise _ClaimLostError
        writer.finish(session)
        _told_of_forgotten(session, resources, claim, content)

    try:
        durably(resources.database, ready)
    except _ClaimLostError:
        writer.abort()
        logger.info("data set %s is no longer this attempt's; nothing was changed", claim.dataset_id)
    except QuotaExceeded as over:
        writer.abort()
        problem = Problem(code=over.code, message=over.detail, pointer="/", hint=over.hint)
        _rejected(resources, claim, [problem])
    except BaseException:
        writer.abort()
        raise
    else:
        logger.info("data set %s ready: %s", claim.dataset_id, dict(content.stats))


def _require_quotas(session: Session, resources: Resources, claim: Claim, reading: Reading) -> None:
    """Ask for the rows, and for the bytes of one made of another; an upload's were asked for before."""
    if claim.to_forget is not None and claim.to_forget["delete_parent"]:
        parent = str((claim.lineage or {})["parent"])
        if not is_needed(session, claim.project_id, parent, made=claim.dataset_id):
            return  # less than the version that it replaces: whoever is over a quota can still forget
    if session.get(Dataset, claim.dataset_id) is None:
        return  # deleted meanwhile, perhaps with its project
    settings, project_id = resources.settings, claim.project_id
    if reading.made is not None:
        require_room(session, settings, project_id, reading.made["bytes"])
    require_rows(session, settings, project_id, int(reading.stats.get("interactions") or 0))


def _made(lineage: dict[str, Any], content: Content, canonical: Path) -> dict[str, Any]:
    """What is known of a data set that was made of another only now: how, and its file."""
    with canonical.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "lineage": {**lineage, "transforms": content.steps},
        "bytes": canonical.stat().st_size,
        "sha256": sha256,
    }


def _told_of_forgotten(session: Session, resources: Resources, claim: Claim, content: Content) -> None:
    """Note whom the removal of users concerns and, if that is wanted, delete the earlier versions."""
    removed = sum(step.get("users_removed", 0) for step in content.steps)
    if not removed or claim.lineage is None or claim.to_forget is None:
        return
    parent, made = str(claim.lineage["parent"]), claim.dataset_id
    record(session, claim.project_id, parent=parent, made=made, users=removed)
    if claim.to_forget["delete_parent"]:
        told = delete_earlier(session, resources.blobs, claim.project_id, parent=parent, made=made)
        dataset = session.get_one(Dataset, made, populate_existing=True)
        dataset.lineage = {**(dataset.lineage or {}), **told}


class _ClaimLostError(Exception):
    """The data set was deleted meanwhile, or another attempt has it."""


def _kept_alive(
    resources: Resources, claim: Claim, stopping: threading.Event
) -> AbstractContextManager[None]:
    """Renew the claim while the block runs, or give it back; reading is one long call into native code."""
    lease = resources.settings.lease_seconds

    def renewed() -> bool:
        with resources.database.unit_of_work() as session:
            if not stopping.is_set():
                return renew(session, claim, lease_seconds=lease)
            given_back = release(session, claim)
        logger.info("data set %s: the worker leaves (claim given back: %s)", claim.dataset_id, given_back)
        return False

    return kept_alive(renewed, seconds=min(lease / 3, NOTICED_SECONDS), what=claim.dataset_id)
