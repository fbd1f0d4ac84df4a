"""What has to be seen to before models are deleted: who points at them, and what hangs on them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.db import light_work
from app.db.models.batch_recommendation import BatchRecommendation
from app.db.models.evaluation import Evaluation
from app.db.models.job import Job
from app.db.models.model import Model
from app.db.models.model_alias import ModelAlias
from app.jobs import life
from app.state_errors import InUseError


def refuse_aliased(
    session: Session, models: Sequence[Model], *, hint: str, pointer: str = "path:model_id"
) -> None:
    """Refuse when aliases point at one of these models. InUseError (`model_in_use`), naming the aliases."""
    statement = select(ModelAlias).where(ModelAlias.model_id.in_([model.id for model in models]))
    rows = session.execute(statement.order_by(ModelAlias.name, ModelAlias.alias)).scalars().all()
    if rows:
        used_by = [f"{row.name}@{row.alias}" for row in rows]
        raise InUseError(
            f"Aliases point here: {', '.join(used_by)}.",
            code="model_in_use",
            used_by=used_by,
            hint=hint,
            pointer=pointer,
        )


def refuse_used(session: Session, models: Sequence[Model], *, pointer: str = "path:model_id") -> None:
    """Refuse when aliases point at one of these models, or what has not ended needs it. InUseError.

    `pointer` is where the request named what is to go.
    """
    refuse_aliased(
        session,
        models,
        hint="Move the aliases (PUT /v1/models/{name}/aliases/{alias}) or delete them first.",
        pointer=pointer,
    )
    used_by = _users_of(session, models)
    if used_by:
        raise InUseError(
            "Batches, evaluations or jobs (`init_from`) that have not ended use this model.",
            code="model_in_use",
            used_by=used_by,
            hint="Wait for those in `used_by`; or cancel the jobs and evaluations, and delete the batches.",
            pointer=pointer,
        )


def _users_of(session: Session, models: Sequence[Model]) -> list[str]:
    """Ids of the unfinished batches, evaluations and jobs that read these models."""
    ids, projects = [model.id for model in models], {model.project_id for model in models}
    users: list[str] = []
    for table in (BatchRecommendation, Evaluation):
        statement = select(table.id).where(table.model_id.in_(ids), table.status.in_(light_work.UNFINISHED))
        users += session.execute(statement.order_by(table.id)).scalars()
    started = select(Job.id).where(
        Job.project_id.in_(projects),
        Job.status.in_(life.UNFINISHED),
        Job.spec["init_from"].astext.in_(ids),
    )
    return [*users, *session.execute(started.order_by(Job.id)).scalars()]


def forget_batches(session: Session, model_ids: Sequence[str]) -> list[str]:
    """Delete these models' batches of recommendations; returns the blobs that nothing refers to any more."""
    statement = delete(BatchRecommendation).where(BatchRecommendation.model_id.in_(model_ids))
    removed = session.execute(statement.returning(BatchRecommendation.blob_id)).scalars()
    return [blob_id for blob_id in removed if blob_id is not None]


def delete_jobs_models(session: Session, job_id: str) -> tuple[list[str], list[str]]:
    """Delete a job's models and what hangs on them; returns their ids and other freed blobs. InUseError."""
    held = select(Model).where(Model.job_id == job_id).order_by(Model.id).with_for_update()
    models = session.execute(held).scalars().all()
    refuse_used(session, models, pointer="?models")
    ids = [model.id for model in models]
    stored = forget_batches(session, ids)
    session.execute(delete(Model).where(Model.id.in_(ids)))
    return ids, stored
