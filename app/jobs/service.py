"""What can be done with jobs. Their statuses change in app/jobs/life.py only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sqlalchemy import delete as delete_from
from sqlalchemy.orm import Session

from app.accounts import quotas
from app.config import Settings
from app.db.ids import is_id
from app.db.models.checkpoint import Checkpoint
from app.db.models.dataset import Dataset
from app.db.models.job import Job
from app.db.models.job_event import JobEvent
from app.db.models.job_metric import JobMetric
from app.db.models.model import Model
from app.errors import DatasetNotReadyError, ErrorItem, JobStateError, NotFoundError, ValidationFailed
from app.jobs import queries
from app.jobs.estimates import estimate
from app.jobs.life import TERMINAL, Status, enqueue, lock, move
from app.jobs.limits import limit_faults
from app.jobs.queries import Standing, Surroundings, Wanted
from app.jobs.schemas import JobCreate
from app.models.deleting import delete_jobs_models
from app.models.queries import find as find_model
from app.pagination import Page
from app.storage.blobs import BlobStore
from worker.training.spec import TrainSpec, start_misfits

_METRIC_KEY = re.compile(r"(\d{1,10})-([a-z]{1,32})-(\d{1,9})")
_STARTED = frozenset({Status.CANCELLING, Status.CANCELLED})


def check(
    session: Session, settings: Settings, project_id: str, body: JobCreate
) -> tuple[TrainSpec, Dataset]:
    """The spec as it would be run, and its data set, held until the transaction ends.

    Raises:
        ValidationFailed: The spec is over this service's limits, or asks for what the data set has not.
        NotFoundError: The project has no such data set, or no such model to start from.
        DatasetNotReadyError: It is still being read (`dataset_not_ready`), or was rejected.

    """
    spec = TrainSpec.model_validate(body.model_dump(include=set(TrainSpec.model_fields)))
    initial = _initial_model(session, project_id, spec)
    if initial is not None:
        spec = spec.model_copy(update={"init_from": initial.id})
    dataset = queries.usable_dataset(session, project_id, body.dataset)
    if dataset is None:
        raise NotFoundError.of("dataset", body.dataset, pointer="/dataset")
    if dataset.status == "rejected":
        raise DatasetNotReadyError(
            f"Data set {dataset.id} was rejected and cannot be trained on.",
            code="dataset_rejected",
            hint=f"GET /v1/datasets/{dataset.id}/report says why; mend the file and upload it again.",
        )
    if dataset.status != "ready":
        raise DatasetNotReadyError(
            f"Data set {dataset.id} is {dataset.status}.",
            hint=f"Its status is {dataset.status}; poll GET /v1/datasets/{dataset.id} until it is ready.",
        )
    faults = [
        *_faults(spec, dataset, settings),
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
        dataset_facts={
            "id": dataset.id,
            "name": dataset.name,
            "sha256": dataset.sha256,
            "stats": dataset.stats,
        },
        spec=spec.model_dump(mode="json"),
        priority=body.priority,
        max_runtime=body.max_runtime,
        max_pending=body.max_pending,
        estimate=estimate(session, project_id, spec, dataset),
        max_attempts=settings.max_attempts,
    )
    enqueue(session, job)
    return job


def get(session: Session, project_id: str, job_id: str) -> Job:
    """One job. NotFoundError (`job_not_found`) when the project has none with that id."""
    job = queries.find(session, project_id, job_id)
    if job is None:
        raise NotFoundError.of("job", job_id)
    return job


def surroundings_of(session: Session, jobs: Sequence[Job]) -> Mapping[str, Surroundings]:
    """What the objects of these jobs show beside their rows."""
    return queries.surroundings_of(session, jobs)


def list_page(session: Session, project_id: str, page: Page, wanted: Wanted) -> tuple[Sequence[Job], bool]:
    """One page of the project's jobs that fit, newest first, and whether there are more."""
    return queries.page_of(session, project_id, page, wanted)


def labels_of(texts: Sequence[str]) -> Mapping[str, str | None]:
    """Labels to look for: each text is `key=value`, or a `key` that must be there whatever its value."""
    pairs = [text.partition("=") for text in texts]
    return {key: value if equals else None for key, equals, value in pairs}


def cancel(session: Session, project_id: str, job_id: str) -> Job:
    """Cancel a queued or paused job at once; ask a running one to stop.

    Raises:
        NotFoundError: The project has no such job.
        JobStateError: It was cancelled already (`job_already_cancelled`), or has ended otherwise
            (`job_not_cancellable`).

    """
    job = lock(session, get(session, project_id, job_id).id)
    status = Status(job.status)
    if status in _STARTED:
        raise JobStateError(
            f"Job {job_id} is {status} already.",
            code="job_already_cancelled",
            hint=f"GET /v1/jobs/{job_id} shows how far it is.",
            extra={"job_status": status.value},
        )
    if status in TERMINAL:
        raise JobStateError(
            f"Job {job_id} has {status} and cannot be cancelled.",
            code="job_not_cancellable",
            hint=f"DELETE /v1/jobs/{job_id} removes it.",
            extra={"job_status": status.value},
        )
    if status in {Status.QUEUED, Status.PAUSED}:
        job.cancel_requested = True
        return move(session, job, Status.CANCELLED, message=f"The job was cancelled while it was {status}.")
    return move(session, job, Status.CANCELLING, message="The job was asked to stop.")


def delete(
    session: Session, blobs: BlobStore, project_id: str, job_id: str, *, models: bool
) -> tuple[int, list[str]]:
    """Delete a finished job with its checkpoints, and its models if asked; the bytes freed, and those models.

    Raises:
        NotFoundError: The project has no such job.
        JobStateError: It has not ended (`job_in_use`).
        InUseError: Aliases point at models that are to go (`model_in_use`).

    """
    job = lock(session, get(session, project_id, job_id).id)
    if Status(job.status) not in TERMINAL:
        raise JobStateError(
            f"Job {job_id} is {job.status}.",
            code="job_in_use",
            hint=f"Wait until it has ended, or cancel it first: POST /v1/jobs/{job_id}/cancel",
            extra={"job_status": job.status},
        )
    stored = [*queries.checkpoint_blobs(session, job_id), *queries.document_blobs(session, job_id)]
    session.execute(delete_from(Checkpoint).where(Checkpoint.job_id == job_id))
    gone: list[str] = []
    if models:
        stored += queries.model_blobs(session, job_id)
        gone, freed = delete_jobs_models(session, job_id)
        stored += freed
    session.delete(job)
    session.flush()
    return blobs.delete(session, *stored), gone


def event_position(
    session: Session, project_id: str, job_id: str, after: str | None, *, where: str = "?after"
) -> int:
    """Number of the event that `after` names, by number or id; 0 for None. Errors point at `where`."""
    get(session, project_id, job_id)
    sequence: int | None = 0
    if after is not None and after.isdecimal() and after.isascii() and len(after) < 10:
        sequence = int(after)
    elif after is not None:
        sequence = queries.event_sequence(session, job_id, after) if is_id("evt", after) else None
    if sequence is None:
        raise _unknown_cursor(after, "an event's sequence number or id", where)
    return sequence


def events(
    session: Session, project_id: str, job_id: str, *, after: str | None, limit: int
) -> tuple[list[JobEvent], bool]:
    """The job's events after one of them (by number or id), oldest first, and whether more follow."""
    sequence = event_position(session, project_id, job_id, after)
    return queries.events_after(session, job_id, sequence, limit)


def events_and_end(
    session: Session, job_id: str, sequence: int, limit: int
) -> tuple[list[JobEvent], bool] | None:
    """The job's next events, and whether they are its last; None when the job is gone."""
    # first where the job stands, then what there is: the events then reach at least as far
    standing = queries.standing(session, job_id)
    if standing is None:
        return None
    rows, _ = queries.events_after(session, job_id, sequence, limit)
    reached = rows[-1].sequence if rows else sequence
    return rows, Status(standing.status) in TERMINAL and reached >= standing.last_sequence


def standing(session: Session, project_id: str, job_id: str) -> Standing:
    """What tells that a job has changed, in one query. NotFoundError when the project has no such job."""
    found = queries.standing(session, job_id, project_id)
    if found is None:
        raise NotFoundError.of("job", job_id)
    return found


def metrics(
    session: Session, project_id: str, job_id: str, *, after: str | None, limit: int
) -> tuple[list[JobMetric], bool]:
    """The job's epochs in the order in which they ended, and whether more follow."""
    get(session, project_id, job_id)
    position: int | None = -1
    if after is not None:
        key = _METRIC_KEY.fullmatch(after)
        found = (int(key[1]), key[2], int(key[3])) if key else None
        position = queries.metric_position(session, job_id, found) if found else None
    if position is None:
        raise _unknown_cursor(after, "the id of one of this job's epochs")
    return queries.metrics_after(session, job_id, position, limit)


def checkpoints(
    session: Session, project_id: str, job_id: str, page: Page
) -> tuple[Sequence[Checkpoint], bool]:
    """One page of the job's checkpoints, newest first, and whether there are more."""
    get(session, project_id, job_id)
    return queries.checkpoints_page(session, job_id, page)


def checkpoint(session: Session, project_id: str, checkpoint_id: str) -> Checkpoint:
    """One checkpoint. NotFoundError (`checkpoint_not_found`) when the project has none with that id."""
    found = queries.find_checkpoint(session, project_id, checkpoint_id)
    if found is None:
        raise NotFoundError.of("checkpoint", checkpoint_id)
    return found


def _faults(spec: TrainSpec, dataset: Dataset, settings: Settings) -> Sequence[ErrorItem]:
    faults = []
    if spec.epochs > settings.max_epochs:
        faults.append(
            ErrorItem(
                "/epochs",
                "over_limit",
                f"this service trains at most {settings.max_epochs} epochs",
                spec.epochs,
                f"Ask for at most {settings.max_epochs}; GET /v1/capabilities shows every limit.",
            )
        )
    if spec.min_rating is not None and not (dataset.columns or {}).get("rating"):
        faults.append(
            ErrorItem(
                "/min_rating",
                "no_ratings",
                "the data set has no rating column",
                spec.min_rating,
                "Leave min_rating out, or upload the file again with ?rating_column=.",
            )
        )
    return faults


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


def _unknown_cursor(after: str | None, what: str, where: str = "?after") -> ValidationFailed:
    item = ErrorItem(where, "unknown_cursor", f"not {what}", after)
    return ValidationFailed(
        f"`{where.removeprefix('?').removeprefix('header:')}` must be {what}.",
        code="unknown_cursor",
        errors=[item],
        hint="Leave it out to begin at the first.",
    )
