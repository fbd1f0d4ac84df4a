"""Jobs over HTTP: submitted, listed, shown, deleted; and the routes of what belongs to them, together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from app.conditions import conditional, etag_matches
from app.deps import BlobsDep, DatabaseDep, PageDep, PrincipalDep, SessionDep, SettingsDep
from app.errors import ErrorItem, ValidationFailed
from app.examples import JOB_ID, listed, shown
from app.idempotency import IdempotentRoute
from app.jobs import (
    checkpoint_routes,
    estimates,
    examples,
    history_routes,
    log_routes,
    probes,
    report_routes,
    service,
    steering_routes,
    submitting,
    watching,
)
from app.jobs.estimate_schemas import Estimate, JobValidation
from app.jobs.life import Status
from app.jobs.queries import Wanted
from app.jobs.request_schemas import JobCreate
from app.jobs.schemas import JobDeleted, JobObject
from app.moments import Moment
from app.pagination import ListOf, list_of
from app.problems import problem_responses
from worker.training.settings import ModelName

POLL_SECONDS = "2"
_jobs = APIRouter(prefix="/jobs", tags=["jobs"], route_class=IdempotentRoute)
CreateBody = Annotated[JobCreate, Body(openapi_examples={"job": {"value": examples.CREATE}})]


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
    database: DatabaseDep,
    validate_only: Annotated[bool, Query(description="Check only; nothing is submitted.")] = False,
    estimate: Annotated[
        Literal["probe"] | None,
        Query(
            description="With `validate_only`: `probe` has a worker time a few steps, and waits up to 25 s."
        ),
    ] = None,
) -> Any:
    """Submit a training job; `{"dataset": "ds_…"}` is enough, every training setting has a default."""
    if validate_only:
        project = principal.project_id
        unprobed = None
        if estimate == "probe":
            unprobed = probes.probe_first(
                database, project, lambda other: submitting.check(other, settings, project, body)
            )
        spec, dataset = submitting.check(session, settings, project, body)
        checked = JobValidation(
            dataset=dataset.id,
            spec=spec.model_dump(mode="json"),
            estimate=Estimate.model_validate(
                estimates.estimate(session, project, spec, dataset, unprobed=unprobed)
            ),
        )
        return JSONResponse(checked.model_dump(mode="json"))
    if estimate is not None:
        message = "only with validate_only=true; nothing was submitted"
        hint = "Add validate_only=true, or leave estimate out."
        item = ErrorItem("?estimate", "without_validate_only", message, estimate, hint)
        raise ValidationFailed("`estimate` goes with `validate_only`.", errors=[item])
    job = submitting.create(session, settings, principal.project_id, body)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return service.object_of(session, job)


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
    headers = {"ETag": seen.etag}
    if not seen.ended:
        headers["Retry-After"] = POLL_SECONDS
    if wait is None and preferred is not None:
        headers["Preference-Applied"] = f"wait={preferred}"
    return conditional(request, Response(seen.body, media_type="application/json", headers=headers))


@_jobs.delete(
    "/{job_id}",
    responses={
        **shown({"id": JOB_ID, "object": "job", "deleted": True, "models": [], "freed_bytes": 5620260}),
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


routers = (
    _jobs,
    steering_routes.router,
    history_routes.router,
    report_routes.router,
    log_routes.router,
    *checkpoint_routes.routers,
)
"""Side by side: FastAPI looks for a request's route anew at each level of nested ones."""
