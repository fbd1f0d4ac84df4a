"""The life of an evaluation: claimed by a measuring worker, then done, failed or cancelled, once.

As with jobs, the row is the truth and a message only a wake-up: a claim has a lease and a fencing token (the
number of the attempt), and the reaper takes up what a vanished worker left. An attempt begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.config import Settings
from app.db.clock import clock_time
from app.db.light_work import abandoned
from app.db.models.dataset import Dataset
from app.db.models.evaluation import Evaluation
from app.db.models.model import Model
from app.db.session import send_after_commit
from app.db.takes import error_of_takes
from app.jobs.claims import LeaseLost
from app.models.queries import file_blobs
from app.task_names import EVALUATE_MODEL, MEASURE_QUEUE
from app.webhooks.outbox import announce_evaluation

NEEDS_MEMORY = "Give the worker more memory, or evaluate on fewer users."
_LOST = {
    "worker_lost": "The worker died or lost its connection; its log, and that of its machine, say more.",
    "out_of_memory": NEEDS_MEMORY,
}


@dataclass(frozen=True)
class EvaluationClaim:
    """One attempt at one evaluation: everything that is written for it is conditional on both."""

    evaluation_id: str
    attempt: int


@dataclass(frozen=True)
class Inputs:
    """What an attempt works on: blobs by name, and facts. What has been deleted is None or missing."""

    spec: Mapping[str, Any]
    model_facts: Mapping[str, Any]
    dataset_facts: Mapping[str, Any]
    interactions: str | None
    files: Mapping[str, str]
    trained_interactions: str | None
    trained_spec: Mapping[str, Any] | None


def wake(session: Session, row: Evaluation) -> None:
    """Wake a measuring worker after the commit."""
    send_after_commit(session, EVALUATE_MODEL, row.id, queue=MEASURE_QUEUE)


def claim(session: Session, evaluation_id: str, *, lease_seconds: float) -> EvaluationClaim | None:
    """Take up an evaluation that waits; None when there is nothing to do."""
    row = session.execute(
        update(Evaluation)
        .where(Evaluation.id == evaluation_id, Evaluation.status == "queued")
        .values(
            status="running",
            attempts=Evaluation.attempts + 1,
            lease_until=func.clock_timestamp() + timedelta(seconds=lease_seconds),
            started_at=func.coalesce(Evaluation.started_at, func.now()),
            phase="preparing",
            progress=0.0,
            takes=0,
            take_error=None,
        )
        .returning(Evaluation.attempts)
    ).scalar_one_or_none()
    return None if row is None else EvaluationClaim(evaluation_id, row)


def inputs(session: Session, claimed: EvaluationClaim) -> Inputs:
    """What the attempt works on. LeaseLost."""
    row = hold(session, claimed)
    dataset = None if row.dataset_id is None else session.get(Dataset, row.dataset_id)
    model = None if row.model_id is None else session.get(Model, row.model_id)
    files: dict[str, str] = {}
    learnt: Dataset | None = None
    if model is not None:
        files = file_blobs(session, model.id)
        learnt = None if model.dataset_id is None else session.get(Dataset, model.dataset_id)
        if learnt is not None and learnt.sha256 != model.dataset_facts.get("sha256"):
            learnt = None
    return Inputs(
        spec=row.spec,
        model_facts=row.model_facts,
        dataset_facts=row.dataset_facts,
        interactions=None if dataset is None else dataset.canonical_blob,
        files=files,
        trained_interactions=None if learnt is None else learnt.canonical_blob,
        trained_spec=None if model is None else model.job_facts["spec"],
    )


def hold(session: Session, claimed: EvaluationClaim) -> Evaluation:
    """Lock the row for this transaction, as its holder. LeaseLost when the claim is no longer good."""
    row = session.execute(
        select(Evaluation)
        .where(
            Evaluation.id == claimed.evaluation_id,
            Evaluation.attempts == claimed.attempt,
            Evaluation.status == "running",
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if row is None:
        raise LeaseLost(f"attempt {claimed.attempt} at {claimed.evaluation_id} is over")
    return row


def renew(session: Session, claimed: EvaluationClaim, *, lease_seconds: float) -> bool:
    """Push the lease's end away; returns whether a cancel was asked for. LeaseLost."""
    row = hold(session, claimed)
    now = clock_time(session)
    row.lease_until = now + timedelta(seconds=lease_seconds)
    return row.cancel_requested


def show(session: Session, claimed: EvaluationClaim, *, phase: str, progress: float) -> None:
    """Show how far the attempt is. LeaseLost."""
    row = hold(session, claimed)
    row.phase, row.progress = phase, progress


def succeed(
    session: Session, claimed: EvaluationClaim, *, report: dict[str, Any], markdown: str, outcomes: str
) -> bool:
    """`running` → `succeeded`; False, and nothing changed, when it is to be cancelled. LeaseLost."""
    row = hold(session, claimed)
    if row.cancel_requested:
        return False
    row.report, row.report_markdown, row.outcomes_blob = report, markdown, outcomes
    row.progress = 1.0
    _end(session, row, "succeeded")
    return True


def fail(session: Session, claimed: EvaluationClaim, *, code: str, message: str, hint: str) -> None:
    """`running` → `failed`, through no fault of the machine. LeaseLost."""
    row = hold(session, claimed)
    row.error = {"code": code, "message": message, "hint": hint}
    _end(session, row, "failed")


def cancelled(session: Session, claimed: EvaluationClaim) -> None:
    """`running` → `cancelled`. LeaseLost."""
    _end(session, hold(session, claimed), "cancelled")


def release(session: Session, claimed: EvaluationClaim) -> None:
    """Give it back in good order (the worker shuts down); no attempt is counted as lost. LeaseLost."""
    row = hold(session, claimed)
    row.status, row.lease_until = "queued", None
    wake(session, row)


def lose(session: Session, claimed: EvaluationClaim, settings: Settings, *, code: str, message: str) -> None:
    """Count the attempt as lost: queued again, or failed after `max_attempts` of them. LeaseLost."""
    _lose(session, hold(session, claimed), settings, code=code, message=message)


def recover_evaluations(session: Session, settings: Settings) -> int:
    """Take up evaluations that nobody works at: lost wake-ups, and claims of workers that vanished.

    Called by the reaper; several at once are harmless. Returns how many were taken up.
    """
    now = clock_time(session)
    found = abandoned(session, Evaluation, now=now, resend_after_seconds=settings.resend_after_seconds)
    for row in found:
        if row.status == "running":
            message = f"The worker of attempt {row.attempts} was lost."
            _lose(session, row, settings, code="worker_lost", message=message)
        elif (error := error_of_takes(row, settings.max_attempts)) is not None:
            row.error = error
            _end(session, row, "failed")
        else:
            row.sent_at = now
            wake(session, row)
    return len(found)


def _lose(session: Session, row: Evaluation, settings: Settings, *, code: str, message: str) -> None:
    row.attempts_lost += 1
    if row.cancel_requested:
        _end(session, row, "cancelled")
    elif row.attempts_lost >= settings.max_attempts:
        tried = f" {row.attempts_lost} attempts were lost."
        row.error = {"code": code, "message": message + tried, "hint": _LOST.get(code, _LOST["worker_lost"])}
        _end(session, row, "failed")
    else:
        now = clock_time(session)
        row.status, row.lease_until, row.sent_at = "queued", None, now
        wake(session, row)


def _end(session: Session, row: Evaluation, status: str) -> None:
    # One update: the table's checks see status, lease, end, report and error together.
    with session.no_autoflush:
        now = clock_time(session)
    row.status, row.lease_until, row.phase, row.ended_at = status, None, None, now
    session.flush()
    announce_evaluation(session, row, at=now)
