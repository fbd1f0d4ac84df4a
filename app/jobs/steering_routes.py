"""Changing, cancelling, pausing, resuming and retrying jobs over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body

from app.deps import PrincipalDep, SessionDep, SettingsDep
from app.examples import shown
from app.idempotency import IdempotentRoute
from app.jobs import examples, service, steering
from app.jobs.request_schemas import JobChange
from app.jobs.schemas import JobObject
from app.problems import problem_responses

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=IdempotentRoute)

ChangeBody = Annotated[JobChange, Body(openapi_examples={"labels": {"value": examples.CHANGE}})]


@router.patch("/{job_id}", responses={**shown(examples.JOB), **problem_responses(404, 409, 413, 422)})
def change_job(job_id: str, body: ChangeBody, principal: PrincipalDep, session: SessionDep) -> JobObject:
    """Change a job's name, labels and, while it waits, its priority; what is left out stays.

    A label that is null goes away.
    """
    return service.object_of(session, steering.change(session, principal.project_id, job_id, body))


@router.post(
    "/{job_id}/cancel",
    responses={**shown({**examples.JOB, "status": "cancelling"}), **problem_responses(404, 409)},
)
def cancel_job(job_id: str, principal: PrincipalDep, session: SessionDep) -> JobObject:
    """Cancel a job: at once when queued or paused, within a few batches when running.

    A second cancel is refused.
    """
    return service.object_of(session, steering.cancel(session, principal.project_id, job_id))


@router.post(
    "/{job_id}/pause",
    responses={**shown({**examples.JOB, "status": "pausing"}), **problem_responses(404, 409)},
)
def pause_job(job_id: str, principal: PrincipalDep, session: SessionDep) -> JobObject:
    """Pause a job: at once when queued, within a few batches when running; its progress is saved."""
    return service.object_of(session, steering.pause(session, principal.project_id, job_id))


@router.post(
    "/{job_id}/resume",
    responses={**shown({**examples.JOB, "status": "queued"}), **problem_responses(404, 409)},
)
def resume_job(job_id: str, principal: PrincipalDep, session: SessionDep, settings: SettingsDep) -> JobObject:
    """Queue a paused job again; it goes on from its last checkpoint."""
    return service.object_of(session, steering.resume(session, settings, principal.project_id, job_id))


@router.post(
    "/{job_id}/retry",
    responses={**shown({**examples.JOB, "status": "queued"}), **problem_responses(404, 409)},
)
def retry_job(job_id: str, principal: PrincipalDep, session: SessionDep, settings: SettingsDep) -> JobObject:
    """Queue a failed or cancelled job again; it goes on from its last checkpoint."""
    return service.object_of(session, steering.retry(session, settings, principal.project_id, job_id))
