"""Jobs as a whole: found, listed, shown, deleted; and the states that are kept of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import delete as delete_from
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models.checkpoint import Checkpoint
from app.db.models.job import Job
from app.db.models.job_attempt import JobAttempt
from app.db.session import Reader
from app.errors import NotFoundError
from app.jobs import queries, surroundings
from app.jobs.life import TERMINAL, Status, lock
from app.jobs.queries import Standing, Wanted
from app.jobs.schemas import JobObject
from app.jobs.surroundings import Surroundings
from app.models.deleting import delete_jobs_models
from app.pagination import Page
from app.state_errors import JobStateError
from app.storage.blobs import BlobStore


def get(session: Session, project_id: str, job_id: str) -> Job:
    """One job. NotFoundError (`job_not_found`) when the project has none with that id."""
    job = queries.find(session, project_id, job_id)
    if job is None:
        raise NotFoundError.of("job", job_id)
    return job


def shown(reader: Reader, project_id: str, job_id: str) -> tuple[JobObject, Standing]:
    """One job as clients see it, and where it stands. NotFoundError when the project has none such."""
    found = surroundings.find_with_surroundings(reader, project_id, job_id)
    if found is None:
        raise NotFoundError.of("job", job_id)
    row, beside = found
    return JobObject.of(row, beside), Standing(row.status, row.last_sequence, row.updated_at)


def object_of(session: Session, job: Job) -> JobObject:
    """One job as clients see it, with what is beside its row."""
    return JobObject.of(job, surroundings.surroundings_of(session, [job])[job.id])


def surroundings_of(session: Session, jobs: Sequence[Job]) -> Mapping[str, Surroundings]:
    """What the objects of these jobs show beside their rows."""
    return surroundings.surroundings_of(session, jobs)


def list_page(session: Session, project_id: str, page: Page, wanted: Wanted) -> tuple[Sequence[Job], bool]:
    """One page of the project's jobs that fit, newest first, and whether there are more."""
    return queries.page_of(session, project_id, page, wanted)


def labels_of(texts: Sequence[str]) -> Sequence[tuple[str, str | None]]:
    """Labels to look for: each text is `key=value`, or a `key` that must be there whatever its value."""
    pairs = [text.partition("=") for text in texts]
    return [(key, value if equals else None) for key, equals, value in pairs]


def delete(
    session: Session, blobs: BlobStore, project_id: str, job_id: str, *, models: bool
) -> tuple[int, list[str]]:
    """Delete a finished job with its checkpoints, and its models if asked; the bytes freed, and those models.

    Raises:
        NotFoundError: The project has no such job.
        JobStateError: It has not ended (`job_in_use`; `used_by` names the worker that has it).
        InUseError: Aliases point at models that are to go (`model_in_use`).

    """
    job = lock(session, get(session, project_id, job_id).id)
    if Status(job.status) not in TERMINAL:
        raise JobStateError(
            f"Job {job_id} is {job.status}.",
            code="job_in_use",
            hint=f"Wait until it has ended, or cancel it first: POST /v1/jobs/{job_id}/cancel",
            extra={"job_status": job.status, "used_by": list(_workers_of(session, job_id))},
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


def _workers_of(session: Session, job_id: str) -> Sequence[str]:
    running = select(JobAttempt.worker).where(JobAttempt.job_id == job_id, JobAttempt.ended_at.is_(None))
    return session.execute(running).scalars().all()


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
