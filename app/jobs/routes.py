"""Jobs and their checkpoints over HTTP."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from app.db.models.job import Job
from app.deps import BlobsDep, DatabaseDep, PageDep, PrincipalDep, SessionDep, SettingsDep
from app.idempotency import IdempotentRoute
from app.jobs import estimates, examples, log_routes, report_routes, service, steering, watching
from app.jobs.examples import listed, shown
from app.jobs.life import Status
from app.jobs.queries import Wanted
from app.jobs.schemas import (
    CheckpointObject,
    EpochObject,
    Estimate,
    EventObject,
    JobChange,
    JobCreate,
    JobDeleted,
    JobObject,
    JobValidation,
)
from app.moments import Moment
from app.pagination import ListOf, list_of
from app.problems import problem_responses
from app.storage.serving import BLOB_RESPONSES, etag_matches, serve_blob
from worker.training.spec import ModelName

POLL_SECONDS = "2"

_jobs = APIRouter(prefix="/jobs", tags=["jobs"], route_class=IdempotentRoute)
_checkpoints = APIRouter(prefix="/checkpoints", tags=["checkpoints"], route_class=IdempotentRoute)

AfterQuery = Annotated[str | None, Query(max_length=64, description="`last_id` of the page before.")]
EventAfterQuery = Annotated[
    str | None, Query(max_length=64, description="Sequence number or id of the last event already seen.")
]
LimitQuery = Annotated[int, Query(ge=1, le=1000, description="At most this many.")]
CreateBody = Annotated[JobCreate, Body(openapi_examples={"job": {"value": examples.CREATE}})]

ChangeBody = Annotated[JobChange, Body(openapi_examples={"labels": {"value": examples.CHANGE}})]


def _shown(session: Session, job: Job) -> JobObject:
    return JobObject.of(job, service.surroundings_of(session, [job])[job.id])


@_jobs.post(
    "",
    status_code=201,
    response_model=JobObject,
    responses={
        **shown({**examples.JOB, "status": "queued"}, 201),
        200: {
            "model": JobValidation,
            "description": "With `validate_only`: the job would be accepted",
            "content": {"application/json": {"example": examples.VALIDATION}},
        },
        **problem_responses(404, 409, 413, 422, 503),
    },
)
def create_job(
    body: CreateBody,
    response: Response,
    principal: PrincipalDep,
    session: SessionDep,
    settings: SettingsDep,
    *,
    validate_only: Annotated[bool, Query(description="Check only; nothing is submitted.")] = False,
) -> Any:
    """Submit a training job; `{"dataset": "ds_…"}` is enough, every training setting has a default."""
    if validate_only:
        spec, dataset = service.check(session, settings, principal.project_id, body)
        checked = JobValidation(
            dataset=dataset.id,
            spec=spec.model_dump(mode="json"),
            estimate=Estimate.model_validate(
                estimates.estimate(session, principal.project_id, spec, dataset)
            ),
        )
        return JSONResponse(checked.model_dump(mode="json"))
    job = service.create(session, settings, principal.project_id, body)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return _shown(session, job)


@_jobs.get("", responses={**shown(listed(examples.JOB)), **problem_responses(422)})
def list_jobs(
    principal: PrincipalDep,
    session: SessionDep,
    page: PageDep,
    *,
    status: Annotated[Status | None, Query(description="Only those with this status.")] = None,
    dataset: Annotated[str | None, Query(max_length=64, description="Only those of this data set.")] = None,
    model: Annotated[ModelName | None, Query(description="Only those that train this model.")] = None,
    created_after: Annotated[
        Moment | None, Query(description="Only those submitted later than this time (RFC 3339).")
    ] = None,
    created_before: Annotated[
        Moment | None, Query(description="Only those submitted earlier than this time.")
    ] = None,
    label: Annotated[
        list[Annotated[str, Query(max_length=321)]] | None,
        Query(max_length=8, description="Only those with this label, `key=value` or `key`; may be repeated."),
    ] = None,
) -> ListOf[JobObject]:
    """List the project's jobs that fit, newest first."""
    wanted = Wanted(
        status=status,
        dataset_id=dataset,
        model=model,
        created_after=created_after,
        created_before=created_before,
        labels=service.labels_of(label or ()),
    )
    rows, has_more = service.list_page(session, principal.project_id, page, wanted)
    beside = service.surroundings_of(session, rows)
    return list_of(rows, has_more, lambda job: JobObject.of(job, beside[job.id]))


_ETAG_HEADERS: dict[str, Any] = {
    "ETag": {"description": "Digest of this answer.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds; while the job has not ended.", "schema": {"type": "string"}},
}


@_jobs.get(
    "/{job_id}",
    response_model=JobObject,
    responses={
        200: {"content": {"application/json": {"example": examples.JOB}}, "headers": _ETAG_HEADERS},
        304: {"description": "The job is as `If-None-Match` knows it"},
        **problem_responses(404, 422),
    },
)
async def get_job(
    job_id: str,
    request: Request,
    principal: PrincipalDep,
    database: DatabaseDep,
    *,
    wait: Annotated[
        int | None,
        Query(
            ge=0, le=watching.LONGEST_WAIT_SECONDS, description="Answer when it changes, after at most this"
        ),
    ] = None,
    prefer: Annotated[str | None, Header(description="`wait=30` asks the same as `?wait=30`.")] = None,
    if_none_match: Annotated[str | None, Header(description="The `ETag` of an earlier answer.")] = None,
) -> Response:
    """Show one job; with `?wait=30`, as soon as it has a new event or has ended, or 30 seconds are over.

    An ended job is shown at once. With `If-None-Match` too, any change counts, progress included, also one
    that came before the request. While the job has not ended, `Retry-After` says when to ask again.
    """
    seen = await run_in_threadpool(watching.look, database, principal.project_id, job_id)
    preferred = watching.preferred_wait(prefer)
    seconds = wait if wait is not None else preferred
    known = etag_matches(if_none_match, seen.etag)
    if seconds and (known or if_none_match is None):
        seen = await watching.wait_for_change(
            request, database, principal.project_id, seen, job_id=job_id, seconds=seconds, any=known
        )
    headers = {"ETag": seen.etag, "Cache-Control": "private, no-cache"}
    if not seen.ended:
        headers["Retry-After"] = POLL_SECONDS
    if wait is None and preferred is not None:
        headers["Preference-Applied"] = f"wait={preferred}"
    if etag_matches(if_none_match, seen.etag):
        return Response(status_code=304, headers=headers)
    return Response(seen.body, media_type="application/json", headers=headers)


@_jobs.patch("/{job_id}", responses={**shown(examples.JOB), **problem_responses(404, 409, 413, 422)})
def change_job(job_id: str, body: ChangeBody, principal: PrincipalDep, session: SessionDep) -> JobObject:
    """Change a job's name, labels and, while it waits, its priority; what is left out stays.

    A label that is null goes away.
    """
    return _shown(session, steering.change(session, principal.project_id, job_id, body))


@_jobs.post(
    "/{job_id}/cancel",
    responses={**shown({**examples.JOB, "status": "cancelling"}), **problem_responses(404, 409)},
)
def cancel_job(job_id: str, principal: PrincipalDep, session: SessionDep) -> JobObject:
    """Cancel a job: at once when queued or paused, within a few batches when running.

    A second cancel is refused.
    """
    return _shown(session, service.cancel(session, principal.project_id, job_id))


@_jobs.post(
    "/{job_id}/pause",
    responses={**shown({**examples.JOB, "status": "pausing"}), **problem_responses(404, 409)},
)
def pause_job(job_id: str, principal: PrincipalDep, session: SessionDep) -> JobObject:
    """Pause a job: at once when queued, within a few batches when running; its progress is saved."""
    return _shown(session, steering.pause(session, principal.project_id, job_id))


@_jobs.post(
    "/{job_id}/resume",
    responses={**shown({**examples.JOB, "status": "queued"}), **problem_responses(404, 409)},
)
def resume_job(job_id: str, principal: PrincipalDep, session: SessionDep, settings: SettingsDep) -> JobObject:
    """Queue a paused job again; it goes on from its last checkpoint."""
    return _shown(session, steering.resume(session, settings, principal.project_id, job_id))


@_jobs.post(
    "/{job_id}/retry",
    responses={**shown({**examples.JOB, "status": "queued"}), **problem_responses(404, 409)},
)
def retry_job(job_id: str, principal: PrincipalDep, session: SessionDep, settings: SettingsDep) -> JobObject:
    """Queue a failed or cancelled job again; it goes on from its last checkpoint."""
    return _shown(session, steering.retry(session, settings, principal.project_id, job_id))


@_jobs.delete(
    "/{job_id}",
    responses={
        **shown(
            {"id": examples.JOB_ID, "object": "job", "deleted": True, "models": [], "freed_bytes": 5620260}
        ),
        **problem_responses(404, 409),
    },
)
def delete_job(
    job_id: str,
    principal: PrincipalDep,
    session: SessionDep,
    blobs: BlobsDep,
    *,
    models: Annotated[bool, Query(description="Delete the job's models too.")] = False,
) -> JobDeleted:
    """Delete a finished job and its checkpoints, freeing bytes; its models stay unless `?models=true`."""
    freed, gone = service.delete(session, blobs, principal.project_id, job_id, models=models)
    return JobDeleted(id=job_id, models=gone, freed_bytes=freed)


@_jobs.get(
    "/{job_id}/events",
    response_model=ListOf[EventObject],
    responses={
        200: {
            "description": "A page of events, or a stream of them",
            "content": {
                "application/json": {"example": listed(examples.EVENT)},
                watching.EVENT_STREAM: {
                    "schema": {"type": "string"},
                    "example": f"id: 2\nevent: job.status\ndata: {json.dumps(examples.EVENT)}\n\n",
                },
            },
        },
        204: {"description": "The stream has come to its end: do not connect again"},
        **problem_responses(404, 422),
    },
)
async def list_job_events(
    job_id: str,
    request: Request,
    principal: PrincipalDep,
    database: DatabaseDep,
    *,
    after: EventAfterQuery = None,
    limit: LimitQuery = 100,
    last_event_id: Annotated[
        str | None, Header(max_length=64, description="For a stream: the event to go on after.")
    ] = None,
) -> Response:
    """List what happened to a job, oldest first; with `Accept: text/event-stream`, follow it as it happens.

    Sequence numbers have no gaps. A stream sends the same rows, goes on after `Last-Event-ID`, shows with
    comments that it lives, and ends after the event with which the job ended; any other end is a cut.
    """
    vary = {"Vary": "Accept", "Cache-Control": "no-cache"}
    if watching.EVENT_STREAM in request.headers.get("accept", ""):
        project_id = principal.project_id
        sequence, over = await watching.begin_stream(database, project_id, job_id, last_event_id, after)
        if over:
            return Response(status_code=204, headers=vary)
        events = watching.stream_events(database, job_id, sequence)
        headers = {**vary, "X-Accel-Buffering": "no"}
        return StreamingResponse(events, media_type=watching.EVENT_STREAM, headers=headers)

    def page() -> bytes:
        with database.unit_of_work() as session:
            rows, has_more = service.events(session, principal.project_id, job_id, after=after, limit=limit)
            return list_of(rows, has_more, EventObject.of).model_dump_json().encode()

    return Response(await run_in_threadpool(page), media_type="application/json", headers=vary)


@_jobs.get("/{job_id}/metrics", responses={**shown(listed(examples.EPOCH)), **problem_responses(404, 422)})
def list_job_metrics(
    job_id: str,
    principal: PrincipalDep,
    session: SessionDep,
    *,
    after: AfterQuery = None,
    limit: LimitQuery = 100,
) -> ListOf[EpochObject]:
    """List losses and validation metrics of every finished epoch, in the order in which they ended."""
    rows, has_more = service.metrics(session, principal.project_id, job_id, after=after, limit=limit)
    return list_of(rows, has_more, EpochObject.of)


@_jobs.get(
    "/{job_id}/checkpoints", responses={**shown(listed(examples.CHECKPOINT)), **problem_responses(404, 422)}
)
def list_job_checkpoints(
    job_id: str, principal: PrincipalDep, session: SessionDep, page: PageDep
) -> ListOf[CheckpointObject]:
    """List the states that are kept of a job, newest first."""
    rows, has_more = service.checkpoints(session, principal.project_id, job_id, page)
    return list_of(rows, has_more, CheckpointObject.of)


@_checkpoints.get("/{checkpoint_id}", responses={**shown(examples.CHECKPOINT), **problem_responses(404)})
def get_checkpoint(checkpoint_id: str, principal: PrincipalDep, session: SessionDep) -> CheckpointObject:
    """Show one checkpoint."""
    return CheckpointObject.of(service.checkpoint(session, principal.project_id, checkpoint_id))


@_checkpoints.get(
    "/{checkpoint_id}/content",
    response_class=Response,
    responses={
        **BLOB_RESPONSES,
        **problem_responses(404, 416),
    },
)
@_checkpoints.head("/{checkpoint_id}/content", include_in_schema=False)
def get_checkpoint_content(
    checkpoint_id: str, request: Request, principal: PrincipalDep, session: SessionDep, blobs: BlobsDep
) -> Response:
    """Download a checkpoint, a safetensors file; resumable by Range, ETag is its SHA-256."""
    found = service.checkpoint(session, principal.project_id, checkpoint_id)
    name = f"{found.kind}-{found.arm}-{found.seed}-{found.step}.safetensors"
    return serve_blob(request, blobs, found.blob_id, filename=name)


router = APIRouter()
router.include_router(_jobs)
router.include_router(report_routes.router)
router.include_router(log_routes.router)
router.include_router(_checkpoints)
