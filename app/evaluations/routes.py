"""Evaluations over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Query, Request, Response
from fastapi.responses import JSONResponse

from app.conditions import NOT_MODIFIED, conditional
from app.deps import BlobsDep, PageDep, PrincipalDep, SessionDep, SettingsDep
from app.evaluations import service
from app.evaluations.schemas import (
    CREATE_EXAMPLE,
    EVALUATION_ID,
    EXAMPLE,
    REPORT_EXAMPLE,
    EvaluationCreate,
    EvaluationDeleted,
    EvaluationObject,
)
from app.examples import listed, shown
from app.idempotency import IdempotentRoute
from app.jobs.light_line import light_line
from app.negotiation import JSON, MARKDOWN, wants_markdown
from app.pagination import ListOf, list_of
from app.problems import problem_responses

router = APIRouter(prefix="/evaluations", tags=["evaluations"], route_class=IdempotentRoute)


@router.post("", status_code=201, responses={**shown(EXAMPLE, 201), **problem_responses(404, 409, 413, 422)})
def create_evaluation(
    asked: Annotated[
        EvaluationCreate, Body(openapi_examples={"a model by alias": {"value": CREATE_EXAMPLE}})
    ],
    principal: PrincipalDep,
    session: SessionDep,
    settings: SettingsDep,
    response: Response,
) -> EvaluationObject:
    """Measure a stored model on a data set, clean and under attack, in the background; nothing is trained."""
    made = service.create(session, settings, principal.project_id, asked)
    response.headers["Location"] = f"/v1/evaluations/{made.id}"
    return EvaluationObject.of(made, light_line(session, [made]))


@router.get("", responses={**shown(listed(EXAMPLE)), **problem_responses(422)})
def list_evaluations(
    principal: PrincipalDep,
    session: SessionDep,
    page: PageDep,
    *,
    model: Annotated[str | None, Query(max_length=64, description="Only those of this model's id.")] = None,
    dataset: Annotated[str | None, Query(max_length=64, description="Only those on this data set.")] = None,
    status: Annotated[
        Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"] | None,
        Query(description="Only those in this state."),
    ] = None,
) -> ListOf[EvaluationObject]:
    """List the project's evaluations, newest first."""
    rows, has_more = service.list_page(
        session, principal.project_id, page, model=model, dataset=dataset, status=status
    )
    line = light_line(session, rows)
    return list_of(rows, has_more, lambda row: EvaluationObject.of(row, line))


@router.get(
    "/{evaluation_id}",
    response_model=EvaluationObject,
    responses={**shown(EXAMPLE), **NOT_MODIFIED, **problem_responses(404)},
)
def get_evaluation(
    evaluation_id: str, request: Request, principal: PrincipalDep, session: SessionDep
) -> Response:
    """Show one evaluation: how far it is, or what it found."""
    row = service.get(session, principal.project_id, evaluation_id)
    body = EvaluationObject.of(row, light_line(session, [row])).model_dump_json()
    return conditional(request, Response(body, media_type=JSON))


@router.get(
    "/{evaluation_id}/report",
    response_class=Response,
    responses={
        200: {
            "description": "The report",
            "content": {
                "application/json": {"schema": {"type": "object"}, "example": REPORT_EXAMPLE},
                MARKDOWN: {
                    "schema": {"type": "string"},
                    "example": "# Evaluation of films, cascade, seed 0\n",
                },
            },
        },
        **NOT_MODIFIED,
        **problem_responses(404, 409, 422),
    },
)
def get_evaluation_report(
    evaluation_id: str,
    request: Request,
    *,
    principal: PrincipalDep,
    session: SessionDep,
    format: Annotated[
        Literal["json", "md"] | None,
        Query(description="By default as `Accept` asks for; JSON if it does not."),
    ] = None,
) -> Response:
    """Show all figures of an evaluation that succeeded: clean, under attack, beside baselines."""
    row = service.ready(session, principal.project_id, evaluation_id)
    response: Response
    if wants_markdown(request, format):
        response = Response(row.report_markdown, media_type=f"{MARKDOWN}; charset=utf-8")
    else:
        response = JSONResponse(row.report)
    response.headers["Vary"] = "Accept"
    return conditional(request, response)


@router.post(
    "/{evaluation_id}/cancel",
    responses={**shown({**EXAMPLE, "status": "cancelling"}), **problem_responses(404, 409)},
)
def cancel_evaluation(evaluation_id: str, principal: PrincipalDep, session: SessionDep) -> EvaluationObject:
    """Cancel an evaluation; one that waits at once, one that runs within moments."""
    return EvaluationObject.of(service.cancel(session, principal.project_id, evaluation_id))


@router.delete(
    "/{evaluation_id}",
    responses={
        **shown({"id": EVALUATION_ID, "object": "evaluation", "deleted": True, "freed_bytes": 81234}),
        **problem_responses(404),
    },
)
def delete_evaluation(
    evaluation_id: str, principal: PrincipalDep, session: SessionDep, blobs: BlobsDep
) -> EvaluationDeleted:
    """Delete an evaluation and free its bytes; one that runs is stopped."""
    freed = service.delete(session, blobs, principal.project_id, evaluation_id)
    return EvaluationDeleted(id=evaluation_id, freed_bytes=freed)
