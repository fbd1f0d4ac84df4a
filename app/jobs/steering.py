"""What a user may ask of a job that is there: cancel, pause, resume, try again, rename."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.accounts import quotas
from app.config import Settings
from app.datasets.queries import find_held
from app.db.models.job import Job
from app.errors import ErrorItem, ValidationFailed
from app.jobs import service
from app.jobs.life import TERMINAL, Status, lock, move
from app.jobs.request_schemas import MOST_LABELS, JobChange
from app.models.queries import find_held as find_model
from app.state_errors import JobStateError

_WAITING = frozenset({Status.QUEUED, Status.PAUSED})
_CANCELLED = frozenset({Status.CANCELLING, Status.CANCELLED})
_RETRYABLE = frozenset({Status.FAILED, Status.CANCELLED})


def cancel(session: Session, project_id: str, job_id: str) -> Job:
    """Cancel a queued or paused job at once; ask a running one to stop.

    Raises:
        NotFoundError: The project has no such job.
        JobStateError: It was cancelled already (`job_already_cancelled`), or has ended otherwise
            (`job_not_cancellable`).

    """
    job = lock(session, service.get(session, project_id, job_id).id)
    status = Status(job.status)
    if status in _CANCELLED:
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


def pause(session: Session, project_id: str, job_id: str) -> Job:
    """Pause a queued job at once; ask a running one to save its progress and leave its worker.

    Raises:
        NotFoundError: The project has no such job.
        JobStateError: It is neither queued nor running (`job_not_pausable`).

    """
    job = lock(session, service.get(session, project_id, job_id).id)
    if job.status == Status.QUEUED:
        return move(session, job, Status.PAUSED, message="The job was paused before it ran.")
    if job.status == Status.RUNNING:
        return move(session, job, Status.PAUSING, message="The job was asked to pause.")
    raise _refusal(job, "job_not_pausable", "Only a queued or running job can be paused.")


def resume(session: Session, settings: Settings, project_id: str, job_id: str) -> Job:
    """Queue a paused job again; it goes on from its last checkpoint.

    Raises:
        NotFoundError: The project has no such job.
        JobStateError: It is not paused (`job_not_paused`).

    """
    job = lock(session, service.get(session, project_id, job_id).id)
    if job.status != Status.PAUSED:
        hint = (
            "Wait until it is paused."
            if job.status == Status.PAUSING
            else "Only a paused job can be resumed."
        )
        raise _refusal(job, "job_not_paused", hint)
    quotas.queue_again(session, settings, project_id)
    return move(session, job, Status.QUEUED, message="The job is queued again, to go on where it was paused.")


def retry(session: Session, settings: Settings, project_id: str, job_id: str) -> Job:
    """Queue a failed or cancelled job again; it goes on from its last checkpoint, with all its attempts.

    Raises:
        NotFoundError: The project has no such job.
        JobStateError: It has not failed and was not cancelled (`job_not_retryable`), or its data set
            (`dataset_deleted`) or the model it starts from (`model_deleted`) was deleted.

    """
    found = service.get(session, project_id, job_id)
    # in the order in which submitting takes them; both are held against their deletion
    initial = found.spec.get("init_from")
    model = find_model(session, project_id, initial) if initial is not None else None
    dataset = find_held(session, project_id, found.dataset_id or "")
    job = lock(session, found.id)
    if Status(job.status) not in _RETRYABLE:
        raise _refusal(job, "job_not_retryable", "Only a failed or cancelled job can be tried again.")
    if dataset is None:
        raise _refusal(job, "dataset_deleted", "Its data set was deleted: upload it and submit a new job.")
    if initial is not None and model is None:
        raise _refusal(job, "model_deleted", "The model of `init_from` was deleted: submit a new job.")
    quotas.queue_again(session, settings, project_id)
    message = "The job is queued again, to go on from its last checkpoint if it has one."
    return move(session, job, Status.QUEUED, message=message)


def change(session: Session, project_id: str, job_id: str, body: JobChange) -> Job:
    """Change what a job is called, its labels and, while it waits, its priority.

    Labels given are set, those given as null are taken away.

    Raises:
        NotFoundError: The project has no such job.
        JobStateError: A priority was given, and it is neither queued nor paused (`job_not_waiting`).
        ValidationFailed: It would have too many labels.

    """
    job = lock(session, service.get(session, project_id, job_id).id)
    if body.priority is not None:
        if Status(job.status) not in _WAITING:
            raise _refusal(job, "job_not_waiting", "Only a queued or paused job can be given a priority.")
        job.priority = body.priority
    if "name" in body.model_fields_set:
        job.name = body.name
    labels = {**job.labels, **body.labels}
    labels = {key: value for key, value in labels.items() if value is not None}
    if len(labels) > MOST_LABELS:
        item = ErrorItem("/labels", "too_many", f"a job has at most {MOST_LABELS} labels", len(labels))
        raise ValidationFailed(item.message, errors=[item])
    job.labels = labels
    session.flush()
    session.refresh(job)
    return job


def _refusal(job: Job, code: str, hint: str) -> JobStateError:
    detail = f"Job {job.id} is {job.status}."
    return JobStateError(detail, code=code, hint=hint, extra={"job_status": job.status})
