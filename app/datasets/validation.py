"""The life of a data set while it is read: claimed by a light worker, then accepted or rejected, once.

As with jobs, the row is the truth and a message only a wake-up: a claim has a lease and a fencing token (the
number of the attempt), and the reaper takes up what a vanished worker left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from app.config import Settings
from app.db.models.dataset import Dataset
from app.db.session import send_after_commit
from app.db.takes import error_of_takes
from app.db.wake_ups import AT_ONCE, is_overdue
from app.task_names import LIGHT_QUEUE, VALIDATE_DATASET
from app.webhooks.outbox import announce_dataset

_OF_THE_WHOLE: Mapping[str, Any] = {
    "pointer": "/",
    "severity": "error",
    "line": None,
    "lines": [],
    "count": 1,
}
"""What a problem has that is not of a line or a column."""


@dataclass(frozen=True)
class Claim:
    """One attempt at reading one data set."""

    dataset_id: str
    attempt: int
    original_blob: str | None
    """None of one that is to be made of another data set, which `lineage` names."""
    filename: str
    options: dict[str, Any]
    project_id: str
    lineage: dict[str, Any] | None = None
    to_forget: dict[str, Any] | None = None


@dataclass(frozen=True)
class Reading:
    """What reading found: format, chosen columns, counts, problems (none of them an error)."""

    format: str
    columns: Mapping[str, Any]
    stats: Mapping[str, Any]
    problems: Sequence[Mapping[str, Any]]
    content_sha256: str | None = None
    findings: Sequence[Mapping[str, Any]] = ()
    preview: Mapping[str, Any] | None = None
    made: Mapping[str, Any] | None = None
    """Of one that was made of another: its `lineage`, and the `bytes` and `sha256` of its file."""


def claim_validation(session: Session, dataset_id: str, *, lease_seconds: float) -> Claim | None:
    """Take up a data set that waits; None when it does not wait (any more), and there is nothing to do."""
    row = session.execute(
        update(Dataset)
        .where(Dataset.id == dataset_id, Dataset.status == "validating", Dataset.lease_until.is_(None))
        .values(
            attempts=Dataset.attempts + 1,
            lease_until=func.now() + timedelta(seconds=lease_seconds),
            takes=0,
            take_error=None,
        )
        .returning(
            Dataset.attempts,
            Dataset.original_blob,
            Dataset.filename,
            Dataset.options,
            Dataset.project_id,
            Dataset.lineage,
            Dataset.to_forget,
        )
    ).one_or_none()
    return None if row is None else Claim(dataset_id, *row)


def renew(session: Session, claim: Claim, *, lease_seconds: float) -> bool:
    """Say that the attempt is alive; False when the claim is no longer this attempt's."""
    renewed = session.execute(
        update(Dataset)
        .where(*_held(claim))
        .values(lease_until=func.now() + timedelta(seconds=lease_seconds))
        .returning(Dataset.id)
    ).one_or_none()
    return renewed is not None


def accept(session: Session, claim: Claim, reading: Reading, canonical_blob: str) -> bool:
    """`validating` → `ready`; False (and nothing changed) when the claim was lost or the data set deleted."""
    return _settle(
        session,
        claim,
        status="ready",
        format=reading.format,
        columns=dict(reading.columns),
        stats=dict(reading.stats),
        problems=[dict(problem) for problem in reading.problems],
        content_sha256=reading.content_sha256,
        same_content_as=_twin(session, claim, reading.content_sha256),
        findings=[dict(finding) for finding in reading.findings],
        preview=None if reading.preview is None else dict(reading.preview),
        canonical_blob=canonical_blob,
        **({} if reading.made is None else {**reading.made, "original_blob": canonical_blob}),
    )


def reject(session: Session, claim: Claim, problems: Sequence[Mapping[str, Any]]) -> bool:
    """`validating` → `rejected`; False when the claim was lost or the data set deleted."""
    return _settle(session, claim, status="rejected", problems=[dict(problem) for problem in problems])


def release(session: Session, claim: Claim) -> bool:
    """Give a data set back in good order (the worker shuts down); no attempt is counted as lost.

    False when the claim was lost before, or the data set deleted.
    """
    released = session.execute(
        update(Dataset)
        .where(*_held(claim))
        .values(lease_until=None, sent_at=func.now())
        .returning(Dataset.id)
    ).one_or_none()
    if released is not None:
        _wake(session, claim.dataset_id)
    return released is not None


def recover_validating(session: Session, settings: Settings) -> int:
    """Take up data sets that nobody reads: wake-ups that got lost, and claims of workers that vanished.

    Called by the reaper; several at once are harmless. Returns how many were taken up. One whose reader
    vanished `max_attempts` times is rejected, since it most likely kills it; so is one that as many workers
    could not begin.
    """
    now = session.execute(select(func.now())).scalar_one()  # the clock that leases were written by
    overdue = is_overdue(
        sent_at=Dataset.sent_at,
        waits_since=Dataset.created_at,
        resend_after_seconds=settings.resend_after_seconds,
    )
    statement = (
        select(Dataset)
        .where(
            Dataset.status == "validating",
            or_(Dataset.lease_until < now, Dataset.lease_until.is_(None) & overdue),
        )
        .order_by(Dataset.id)
        .limit(AT_ONCE)
    )
    stale = session.execute(statement.with_for_update(skip_locked=True)).scalars().all()
    for dataset in stale:
        if dataset.lease_until is not None:
            dataset.attempts_lost += 1
            dataset.lease_until = None
        error = error_of_takes(dataset, settings.max_attempts)
        if dataset.attempts_lost >= settings.max_attempts:
            error = _reader_lost(dataset.attempts_lost)
        if error is not None:
            dataset.status = "rejected"
            dataset.validated_at = now
            dataset.problems = [{**error, **_OF_THE_WHOLE}]
            dataset.to_forget = None
            announce_dataset(session, dataset.project_id, dataset.id, "rejected", at=now)
        else:
            dataset.sent_at = now
            _wake(session, dataset.id)
    return len(stale)


def _wake(session: Session, dataset_id: str) -> None:
    send_after_commit(session, VALIDATE_DATASET, dataset_id, queue=LIGHT_QUEUE)


def _held(claim: Claim) -> tuple[Any, ...]:
    return (
        Dataset.id == claim.dataset_id,
        Dataset.attempts == claim.attempt,
        Dataset.status == "validating",
        Dataset.lease_until.is_not(None),
    )


def _settle(session: Session, claim: Claim, **values: Any) -> bool:
    settled = session.execute(
        update(Dataset)
        .where(*_held(claim))
        .values(validated_at=func.now(), lease_until=None, to_forget=None, **values)
        .returning(Dataset.id, Dataset.project_id, Dataset.status, Dataset.validated_at)
    ).one_or_none()
    if settled is None:
        return False
    announce_dataset(session, settled.project_id, settled.id, settled.status, at=settled.validated_at)
    return True


def _twin(session: Session, claim: Claim, content_sha256: str | None) -> str | None:
    """The project's oldest data set with the same interactions."""
    if content_sha256 is None:
        return None
    same = select(Dataset.id).where(
        Dataset.project_id == claim.project_id,
        Dataset.content_sha256 == content_sha256,
        Dataset.id != claim.dataset_id,
    )
    return session.execute(same.order_by(Dataset.id).limit(1)).scalar_one_or_none()


def _reader_lost(attempts_lost: int) -> dict[str, Any]:
    return {
        "code": "reader_lost",
        "message": f"The worker that read the file failed or vanished {attempts_lost} times.",
        "hint": "Most likely the worker lacks memory or disk for it: send fewer rows, or ask the operator.",
    }
