"""What happened to a job over HTTP: its events, as a list or a stream, and its epochs."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from app.conditions import NOT_MODIFIED, conditional
from app.deps import DatabaseDep, PrincipalDep, SessionDep
from app.examples import listed, shown
from app.jobs import examples, history, watching
from app.jobs.record_schemas import EpochObject, EventObject
from app.negotiation import EVENT_STREAM, JSON, preferred
from app.pagination import ListOf, list_of
from app.problems import problem_responses

router = APIRouter(prefix="/jobs", tags=["jobs"])

AfterQuery = Annotated[str | None, Query(max_length=64, description="`last_id` of the page before.")]
EventAfterQuery = Annotated[
    str | None, Query(max_length=64, description="Sequence number or id of the last event already seen.")
]
LimitQuery = Annotated[int, Query(ge=1, le=1000, description="At most this many.")]


@router.get(
    "/{job_id}/events",
    response_model=ListOf[EventObject],
    responses={
        200: {
            "description": "A page of events, or a stream of them",
            "content": {
                "application/json": {"example": listed(examples.EVENT)},
                EVENT_STREAM: {
                    "schema": {"type": "string"},
                    "example": f"id: 2\nevent: job.status\ndata: {json.dumps(examples.EVENT)}\n\n",
                },
            },
        },
        204: {"description": "The stream has come to its end: do not connect again"},
        **NOT_MODIFIED,
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
    if preferred(request, (JSON, EVENT_STREAM)) == EVENT_STREAM:
        project_id = principal.project_id
        sequence, over = await watching.begin_stream(database, project_id, job_id, last_event_id, after)
        if over:
            return Response(status_code=204, headers=vary)
        events = watching.stream_events(database, job_id, sequence)
        headers = {**vary, "X-Accel-Buffering": "no"}
        return StreamingResponse(events, media_type=EVENT_STREAM, headers=headers)

    def page() -> bytes:
        with database.unit_of_work() as session:
            rows, has_more = history.events(session, principal.project_id, job_id, after=after, limit=limit)
            return list_of(rows, has_more, EventObject.of).model_dump_json().encode()

    return conditional(request, Response(await run_in_threadpool(page), media_type=JSON, headers=vary))


@router.get(
    "/{job_id}/metrics",
    response_model=ListOf[EpochObject],
    responses={**shown(listed(examples.EPOCH)), **NOT_MODIFIED, **problem_responses(404, 422)},
)
def list_job_metrics(
    job_id: str,
    request: Request,
    principal: PrincipalDep,
    session: SessionDep,
    *,
    after: AfterQuery = None,
    limit: LimitQuery = 100,
) -> Response:
    """List losses and validation metrics of every finished epoch, in the order in which they ended."""
    rows, has_more = history.metrics(session, principal.project_id, job_id, after=after, limit=limit)
    body = list_of(rows, has_more, EpochObject.of).model_dump_json()
    return conditional(request, Response(body, media_type=JSON))
