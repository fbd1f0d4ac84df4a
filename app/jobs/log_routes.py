"""What training processes said, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from app.conditions import NOT_MODIFIED, conditional
from app.db.models.job_log import JobLog
from app.deps import PrincipalDep, SessionDep
from app.examples import listed
from app.jobs import logs
from app.negotiation import JSON, TEXT, preferred
from app.pagination import ListOf, list_of
from app.problems import problem_responses

_EXAMPLE: dict[str, Any] = {
    "id": "1-57",
    "object": "log_line",
    "attempt": 1,
    "number": 57,
    "at": "2025-11-23T13:51:40Z",
    "level": "info",
    "text": "worker.sinks: arm cascade, seed 0: epoch 21, loss 0.5200, validation NDCG@10 0.0550",
}

router = APIRouter(prefix="/jobs", tags=["jobs"])


class LogLine(BaseModel):
    """A line that a training process wrote; `number` counts from 1 within the attempt."""

    id: str = Field(description="attempt-number")
    object: Literal["log_line"] = "log_line"
    attempt: int
    number: int
    at: datetime
    level: str | None = Field(description="null for a line that no logger wrote")
    text: str

    @classmethod
    def of(cls, row: JobLog) -> Self:
        """The object of a row."""
        at = row.at.astimezone(UTC)
        return cls(
            id=f"{row.attempt}-{row.number}",
            attempt=row.attempt,
            number=row.number,
            at=at,
            level=row.level,
            text=row.text,
        )


class LogLines(ListOf[LogLine]):
    """A page of lines, and how many older ones of the attempts shown are no longer kept."""

    dropped: int


@router.get(
    "/{job_id}/logs",
    response_model=LogLines,
    responses={
        200: {
            "description": "A page of lines, or all of them as text",
            "content": {
                JSON: {"example": {**listed(_EXAMPLE), "dropped": 0}},
                TEXT: {
                    "schema": {"type": "string"},
                    "example": "2025-11-23T13:51:40Z [1] INFO    worker.sinks: epoch 21\n",
                },
            },
        },
        **NOT_MODIFIED,
        **problem_responses(404, 422),
    },
)
def list_job_logs(
    job_id: str,
    request: Request,
    principal: PrincipalDep,
    session: SessionDep,
    *,
    attempt: Annotated[
        int | None, Query(ge=1, le=10**9, description="Only this attempt's; by default every one's.")
    ] = None,
    after: Annotated[
        str | None, Query(max_length=64, description="Id of the last line already seen.")
    ] = None,
    tail: Annotated[int | None, Query(ge=1, le=5000, description="Only the last so many.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most this many, of JSON.")] = 100,
) -> Response:
    """Show what a job's training processes wrote, oldest first: JSON, or with `Accept: text/plain` text.

    They are kept after the worker is gone, at most 5,000 lines of each attempt, the newest.
    """
    as_text = preferred(request, (JSON, TEXT)) == TEXT
    found = logs.page(
        session,
        principal.project_id,
        job_id,
        attempt=attempt,
        after=after,
        tail=tail,
        limit=None if as_text else limit,
    )
    headers = {"Vary": "Accept", "Cache-Control": "no-cache"}
    if as_text:
        text = logs.as_text(found)
        return conditional(request, Response(text, media_type=f"{TEXT}; charset=utf-8", headers=headers))
    rows = list_of(found.lines, found.has_more, LogLine.of)
    body = LogLines(**vars(rows), dropped=found.dropped)
    return conditional(request, Response(body.model_dump_json(), media_type=JSON, headers=headers))
