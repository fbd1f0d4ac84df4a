"""The life of a batch of recommendations: claimed by a light worker, then done or failed, once.

As with jobs, the row is the truth and a message only a wake-up: a claim has a lease and a fencing token (the
number of the attempt), and the reaper takes up what a vanished worker left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.accounts import quotas
from app.config import Settings
from app.datasets.using import facts_of, ready_dataset
from app.db.clock import clock_time
from app.db.light_work import abandoned
from app.db.models.batch_recommendation import BatchRecommendation
from app.db.models.dataset import Dataset
from app.db.session import send_after_commit
from app.db.takes import error_of_takes
from app.errors import ConflictError, NotFoundError
from app.models import queries
from app.models.batch_schemas import BatchCreate
from app.pagination import Page, paginate
from app.storage.blobs import BlobInfo, BlobStore
from app.task_names import LIGHT_QUEUE, RECOMMEND_BATCH
from app.webhooks.outbox import announce_recommendations


@dataclass(frozen=True)
class Claim:
    """One attempt at one batch: the data set's interactions, the model's files by path, and what is asked."""

    batch_id: str
    attempt: int
    interactions: str | None
    files: Mapping[str, str]
    options: Mapping[str, Any]


def create(
    session: Session, settings: Settings, project_id: str, model_id: str, asked: BatchCreate
) -> BatchRecommendation:
    """Queue a batch.

    NotFoundError for the model or the data set; DatasetNotReadyError; QuotaExceeded; QuotaUsedUp.
    """
    model = queries.find_held(session, project_id, model_id)
    if model is None:
        raise NotFoundError.of("model", model_id)
    dataset = ready_dataset(session, project_id, asked.dataset)
    quotas.submit_batch(session, settings, project_id)
    batch = BatchRecommendation(
        project_id=project_id,
        model_id=model.id,
        dataset_id=dataset.id,
        dataset_facts=facts_of(dataset),
        options=asked.model_dump(mode="json", include={"k", "exclude_seen"}),
        status="queued",
    )
    session.add(batch)
    session.flush()
    session.refresh(batch)
    _wake(session, batch)
    return batch


def get(session: Session, project_id: str, model_id: str, batch_id: str) -> BatchRecommendation:
    """One batch of a model. NotFoundError (`recommendation_not_found`)."""
    model = queries.find(session, project_id, model_id)
    batch = None if model is None else session.get(BatchRecommendation, batch_id)
    if batch is None or model is None or batch.model_id != model.id:
        raise _not_found(model_id, batch_id)
    return batch


def page_of_model(
    session: Session, project_id: str, model_id: str, page: Page
) -> tuple[Sequence[BatchRecommendation], bool]:
    """One page of a model's batches, newest first, and whether there are more. NotFoundError."""
    model = queries.find(session, project_id, model_id)
    if model is None:
        raise NotFoundError.of("model", model_id)
    statement = select(BatchRecommendation).where(BatchRecommendation.model_id == model.id)
    return paginate(session, statement, BatchRecommendation.id, page)


def content(batch: BatchRecommendation) -> str:
    """The blob of a batch's recommendations. ConflictError (`recommendation_not_ready`) without one."""
    if batch.blob_id is None:
        raise ConflictError(
            f"The batch {batch.id} is {batch.status}.",
            code="recommendation_not_ready",
            pointer="path:recommendation_id",
            hint="Look again later; a failed one's `error` says why.",
        )
    return batch.blob_id


def delete(session: Session, blobs: BlobStore, batch: BatchRecommendation) -> int:
    """Delete a batch, also one that runs: its worker finds its claim gone and stops. Returns freed bytes.

    NotFoundError (`recommendation_not_found`) when another request has deleted it meanwhile.
    """
    statement = select(BatchRecommendation).where(BatchRecommendation.id == batch.id).with_for_update()
    held = session.execute(statement.execution_options(populate_existing=True)).scalar_one_or_none()
    if held is None:  # another request was quicker
        raise _not_found(batch.model_id, batch.id)
    stored = [batch.blob_id] if batch.blob_id is not None else []
    session.delete(batch)
    session.flush()
    return blobs.delete(session, *stored)


def claim(session: Session, batch_id: str, *, lease_seconds: float) -> Claim | None:
    """Take up a batch that waits; None when it does not wait (any more), and there is nothing to do."""
    batch = session.execute(
        update(BatchRecommendation)
        .where(BatchRecommendation.id == batch_id, BatchRecommendation.status == "queued")
        .values(
            status="running",
            attempts=BatchRecommendation.attempts + 1,
            lease_until=func.clock_timestamp() + timedelta(seconds=lease_seconds),
            started_at=func.coalesce(BatchRecommendation.started_at, func.now()),
            users_done=0,
            takes=0,
            take_error=None,
        )
        .returning(BatchRecommendation)
    ).scalar_one_or_none()
    if batch is None:
        return None
    dataset = None if batch.dataset_id is None else session.get(Dataset, batch.dataset_id)
    files = queries.file_blobs(session, batch.model_id)
    interactions = None if dataset is None else dataset.canonical_blob
    return Claim(batch.id, batch.attempts, interactions, files, batch.options)


def renew(session: Session, claimed: Claim, *, users_done: int, lease_seconds: float) -> bool:
    """Say that the attempt is alive, and how far; False when the claim is no longer this attempt's."""
    until = func.clock_timestamp() + timedelta(seconds=lease_seconds)
    return _write(session, claimed, lease_until=until, users_done=users_done) is not None


def succeed(session: Session, claimed: Claim, blob: BlobInfo, stats: Mapping[str, Any]) -> bool:
    """`running` → `succeeded`; False (and nothing changed) when the claim was lost or the batch deleted."""
    return _end(
        session,
        claimed,
        status="succeeded",
        blob_id=blob.id,
        bytes=blob.size,
        sha256=blob.sha256,
        stats=dict(stats),
        users_done=stats["users"],
    )


def fail(session: Session, claimed: Claim, *, code: str, message: str, hint: str) -> bool:
    """`running` → `failed`, through no fault of the machine; False when the claim was lost."""
    error = {"code": code, "message": message, "hint": hint}
    return _end(session, claimed, status="failed", error=error)


def release(session: Session, claimed: Claim) -> None:
    """Give a batch back in good order (the worker shuts down); no attempt is counted as lost."""
    batch = _write(session, claimed, status="queued", lease_until=None)
    if batch is not None:
        _wake(session, batch)


def recover_batches(session: Session, settings: Settings) -> int:
    """Take up batches that nobody works at: wake-ups that got lost, and claims of workers that vanished.

    Called by the reaper; several at once are harmless. Returns how many were taken up. One whose worker
    vanished `max_attempts` times has failed, since it most likely kills its worker; so has one
    that as many workers could not begin.
    """
    now = clock_time(session)
    found = abandoned(
        session, BatchRecommendation, now=now, resend_after_seconds=settings.resend_after_seconds
    )
    for batch in found:
        if batch.status == "running":
            batch.attempts_lost += 1
            batch.lease_until = None
            batch.status = "queued"
        error = error_of_takes(batch, settings.max_attempts)
        if batch.attempts_lost >= settings.max_attempts:
            error = {
                "code": "worker_lost",
                "message": f"The worker vanished {batch.attempts_lost} times while it was at this batch.",
                "hint": "Most likely its memory did not suffice; the light worker's log says more.",
            }
        if error is not None:
            batch.status, batch.ended_at, batch.error = "failed", now, error
            announce_recommendations(session, batch, at=now)
            continue
        batch.sent_at = now
        _wake(session, batch)
    return len(found)


def _not_found(model_id: str, batch_id: str) -> NotFoundError:
    return NotFoundError(
        f"There is no batch of recommendations {batch_id!r} of the model {model_id!r}.",
        code="recommendation_not_found",
        hint="GET /v1/models/{model_id}/recommendations lists those that there are.",
        pointer="path:recommendation_id",
    )


def _wake(session: Session, batch: BatchRecommendation) -> None:
    send_after_commit(session, RECOMMEND_BATCH, batch.id, queue=LIGHT_QUEUE)


def _end(session: Session, claimed: Claim, **values: Any) -> bool:
    now = clock_time(session)
    batch = _write(session, claimed, lease_until=None, ended_at=now, **values)
    if batch is not None:
        announce_recommendations(session, batch, at=now)
    return batch is not None


def _write(session: Session, claimed: Claim, **values: Any) -> BatchRecommendation | None:
    return session.execute(
        update(BatchRecommendation)
        .where(
            BatchRecommendation.id == claimed.batch_id,
            BatchRecommendation.attempts == claimed.attempt,
            BatchRecommendation.status == "running",
        )
        .values(**values)
        .returning(BatchRecommendation)
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
