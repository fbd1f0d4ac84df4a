"""Submitting a job: what it names is looked up, what it asks is checked, and it is queued."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.accounts import quotas
from app.config import Settings
from app.datasets.using import facts_of, missing_columns, ready_dataset
from app.db.models.dataset import Dataset
from app.db.models.job import Job
from app.db.models.model import Model
from app.errors import ErrorItem, NotFoundError, ValidationFailed
from app.jobs.estimates import estimate
from app.jobs.life import enqueue
from app.jobs.limits import limit_faults
from app.jobs.request_schemas import JobCreate
from app.models.queries import find_held as find_model
from worker.training.spec import TrainSpec, start_misfits


def check(
    session: Session, settings: Settings, project_id: str, body: JobCreate
) -> tuple[TrainSpec, Dataset]:
    """The spec as it would be run, and its data set.

    That and the model of `init_from` are held against their deletion until the transaction ends.

    Raises:
        ValidationFailed: The spec is over this service's limits, or asks for what the data set has not.
        NotFoundError: The project has no such data set, or no such model to start from.
        DatasetNotReadyError: It is still being read (`dataset_not_ready`), or was rejected.

    """
    spec = TrainSpec.model_validate(body.model_dump(include=set(TrainSpec.model_fields)))
    initial = _initial_model(session, project_id, spec)
    if initial is not None:
        spec = spec.model_copy(update={"init_from": initial.id})
    dataset = ready_dataset(session, project_id, body.dataset)
    faults = [
        *_over_limit(spec, settings),
        *missing_columns(spec, dataset),
        *limit_faults(body, settings),
        *_warm_start_faults(spec, initial),
    ]
    if faults:
        raise ValidationFailed("; ".join(f"{item.pointer}: {item.message}" for item in faults), errors=faults)
    return spec, dataset


def create(session: Session, settings: Settings, project_id: str, body: JobCreate) -> Job:
    """Queue a job; a worker is woken after the commit. Raises what `check` and `quotas.submit_job` raise."""
    spec, dataset = check(session, settings, project_id, body)
    quotas.submit_job(session, settings, project_id)
    job = Job(
        project_id=project_id,
        name=body.name,
        labels=dict(body.labels),
        dataset_id=dataset.id,
        dataset_facts={**facts_of(dataset), "stats": dataset.stats},
        spec=spec.model_dump(mode="json"),
        priority=body.priority,
        max_runtime=body.max_runtime,
        max_pending=body.max_pending,
        estimate=estimate(session, project_id, spec, dataset),
        max_attempts=settings.max_attempts,
    )
    enqueue(session, job)
    return job


def _over_limit(spec: TrainSpec, settings: Settings) -> Sequence[ErrorItem]:
    if spec.epochs <= settings.max_epochs:
        return []
    return [
        ErrorItem(
            "/epochs",
            "over_limit",
            f"this service trains at most {settings.max_epochs} epochs",
            spec.epochs,
            f"Ask for at most {settings.max_epochs}; GET /v1/capabilities shows every limit.",
        )
    ]


def _initial_model(session: Session, project_id: str, spec: TrainSpec) -> Model | None:
    """The model that training starts from, by id or reference (`name@3`); None starts afresh."""
    if spec.init_from is None:
        return None
    model = find_model(session, project_id, spec.init_from)
    if model is None:
        raise NotFoundError.of("model", spec.init_from, pointer="/init_from")
    return model


def _warm_start_faults(spec: TrainSpec, initial: Model | None) -> Sequence[ErrorItem]:
    misfits = start_misfits(spec, initial.job_facts.get("spec", {})) if initial is not None else []
    if not misfits:
        return []
    return [
        ErrorItem(
            "/init_from",
            "model_does_not_fit",
            f"that model has other weights than this job's would have: {'; '.join(misfits)}",
            spec.init_from,
            "Set these as that model has them, or leave init_from out.",
        )
    ]
