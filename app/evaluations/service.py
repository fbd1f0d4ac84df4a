"""What can be done with evaluations: ask for one, look, cancel, delete."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.accounts import quotas
from app.config import Settings
from app.datasets.using import facts_of, missing_columns, ready_dataset
from app.db.models.evaluation import Evaluation
from app.errors import ConflictError, ErrorItem, NotFoundError, ValidationFailed
from app.evaluations.life import wake
from app.evaluations.schemas import EvaluationCreate
from app.models import queries as models
from app.pagination import Page, paginate
from app.storage.blobs import BlobStore
from app.validation_errors import error_items
from app.webhooks.outbox import announce_evaluation
from worker.training.spec import TrainSpec


def create(session: Session, settings: Settings, project_id: str, asked: EvaluationCreate) -> Evaluation:
    """Queue an evaluation; a measuring worker is woken after the commit.

    Raises:
        NotFoundError: The project has no such model or data set.
        DatasetNotReadyError: The data set is still being read, or was rejected.
        ValidationFailed: The settings do not go with the model's, or the data set lacks what they need.
        QuotaExceeded: The project has no room for more.
        QuotaUsedUp: It has as many evaluations as it may have at once.

    """
    model = models.find_held(session, project_id, asked.model)
    if model is None:
        raise NotFoundError.of("model", asked.model, pointer="/model")
    dataset = ready_dataset(session, project_id, asked.dataset)
    try:
        # Another model's weights, long since in these: nothing that this would have to fetch.
        spec = TrainSpec.model_validate({**model.job_facts["spec"], **asked.changes(), "init_from": None})
    except ValidationError as error:
        raise _refused(error_items(error.errors())) from error
    if missing := missing_columns(spec, dataset):
        raise _refused(missing)
    quotas.submit_evaluation(session, settings, project_id)
    row = Evaluation(
        project_id=project_id,
        name=asked.name,
        model_id=model.id,
        model_facts={
            "id": model.id,
            "name": model.name,
            "version": model.version,
            "arm": model.arm,
            "seed": model.seed,
            "job": model.job_facts.get("id"),
            "trained_on": {name: model.dataset_facts.get(name) for name in ("id", "name", "sha256")},
        },
        dataset_id=dataset.id,
        dataset_facts=facts_of(dataset),
        spec=spec.model_dump(mode="json"),
        status="queued",
    )
    session.add(row)
    session.flush()
    session.refresh(row)
    wake(session, row)
    return row


def _refused(items: Sequence[ErrorItem]) -> ValidationFailed:
    return ValidationFailed("; ".join(f"{item.pointer}: {item.message}" for item in items), errors=items)


def get(session: Session, project_id: str, evaluation_id: str, *, lock: bool = False) -> Evaluation:
    """One evaluation. NotFoundError (`evaluation_not_found`)."""
    statement = select(Evaluation).where(Evaluation.id == evaluation_id, Evaluation.project_id == project_id)
    row = session.execute(statement.with_for_update() if lock else statement).scalar_one_or_none()
    if row is None:
        raise NotFoundError.of("evaluation", evaluation_id)
    return row


def list_page(
    session: Session,
    project_id: str,
    page: Page,
    *,
    model: str | None = None,
    dataset: str | None = None,
    status: str | None = None,
) -> tuple[Sequence[Evaluation], bool]:
    """One page of the project's evaluations, newest first, and whether there are more."""
    statement = select(Evaluation).where(Evaluation.project_id == project_id)
    if model is not None:
        statement = statement.where(Evaluation.model_facts["id"].astext == model)
    if dataset is not None:
        statement = statement.where(Evaluation.dataset_facts["id"].astext == dataset)
    if status in {"running", "cancelling"}:  # one column and a wish; objects show them as two states
        wanted = Evaluation.cancel_requested.is_(status == "cancelling")
        statement = statement.where(Evaluation.status == "running", wanted)
    elif status is not None:
        statement = statement.where(Evaluation.status == status)
    return paginate(session, statement, Evaluation.id, page)


def cancel(session: Session, project_id: str, evaluation_id: str) -> Evaluation:
    """Cancel: one that waits at once, one that runs within moments; one that is cancelled stays so.

    Raises:
        NotFoundError: The project has no such evaluation.
        ConflictError: It has ended otherwise (`evaluation_ended`).

    """
    row = get(session, project_id, evaluation_id, lock=True)
    if row.status == "queued":
        now = session.execute(select(func.now())).scalar_one()
        row.status, row.cancel_requested, row.ended_at = "cancelled", True, now
        announce_evaluation(session, row, at=now)
    elif row.status == "running":
        row.cancel_requested = True
    elif row.status != "cancelled":
        raise ConflictError(
            f"The evaluation {row.id} has {row.status}.",
            code="evaluation_ended",
            pointer="path:evaluation_id",
            hint="Nothing runs; DELETE removes it.",
        )
    session.flush()
    session.refresh(row)
    return row


def ready(session: Session, project_id: str, evaluation_id: str) -> Evaluation:
    """A succeeded evaluation. NotFoundError; ConflictError (`report_not_ready`) when it has not succeeded."""
    row = get(session, project_id, evaluation_id)
    if row.status != "succeeded":
        raise ConflictError(
            f"The evaluation {row.id} is {row.status} and has no report.",
            code="report_not_ready",
            pointer="path:evaluation_id",
            hint="A report is there once it has succeeded; a failed one's `error` says why.",
        )
    return row


def delete(session: Session, blobs: BlobStore, project_id: str, evaluation_id: str) -> int:
    """Delete an evaluation, also one that runs: its worker finds its claim gone. Returns freed bytes."""
    row = get(session, project_id, evaluation_id, lock=True)
    stored = [row.outcomes_blob] if row.outcomes_blob is not None else []
    session.delete(row)
    session.flush()
    return blobs.delete(session, *stored)
