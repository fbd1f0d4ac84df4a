"""Batches of recommendations over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from app.conditions import NOT_MODIFIED, conditional
from app.deps import BlobsDep, PageDep, PrincipalDep, SessionDep, SettingsDep
from app.examples import listed, shown
from app.idempotency import IdempotentRoute
from app.jobs.light_line import light_line
from app.models import batches
from app.models.batch_schemas import (
    BATCH_ID,
    CREATE_EXAMPLE,
    EXAMPLE,
    BatchCreate,
    BatchDeleted,
    BatchObject,
)
from app.negotiation import JSON
from app.pagination import ListOf, list_of
from app.problems import problem_responses
from app.storage.serving import BLOB_RESPONSES, serve_blob

router = APIRouter(prefix="/{model_id}/recommendations", route_class=IdempotentRoute)


@router.post("", status_code=201, responses={**shown(EXAMPLE, 201), **problem_responses(404, 409, 413, 422)})
def create_model_recommendations(
    *,
    model_id: str,
    asked: Annotated[BatchCreate, Body(openapi_examples={"a data set": {"value": CREATE_EXAMPLE}})],
    principal: PrincipalDep,
    session: SessionDep,
    settings: SettingsDep,
    response: Response,
) -> BatchObject:
    """Recommend to every user of a data set, in the background; the result is a parquet file."""
    made = batches.create(session, settings, principal.project_id, model_id, asked)
    response.headers["Location"] = f"/v1/models/{made.model_id}/recommendations/{made.id}"
    return BatchObject.of(made, light_line(session, [made]))


@router.get("", responses={**shown(listed(EXAMPLE)), **problem_responses(404, 422)})
def list_model_recommendations(
    model_id: str, principal: PrincipalDep, session: SessionDep, page: PageDep
) -> ListOf[BatchObject]:
    """List a model's batches of recommendations, newest first."""
    rows, has_more = batches.page_of_model(session, principal.project_id, model_id, page)
    line = light_line(session, rows)
    return list_of(rows, has_more, lambda row: BatchObject.of(row, line))


@router.get(
    "/{recommendation_id}",
    response_model=BatchObject,
    responses={**shown(EXAMPLE), **NOT_MODIFIED, **problem_responses(404)},
)
def get_model_recommendations(
    model_id: str, recommendation_id: str, request: Request, principal: PrincipalDep, session: SessionDep
) -> Response:
    """Show one batch: how far it is, and what it found."""
    batch = batches.get(session, principal.project_id, model_id, recommendation_id)
    body = BatchObject.of(batch, light_line(session, [batch])).model_dump_json()
    return conditional(request, Response(body, media_type=JSON))


@router.get(
    "/{recommendation_id}/content",
    response_class=Response,
    responses={**BLOB_RESPONSES, **problem_responses(404, 409, 416)},
)
@router.head("/{recommendation_id}/content", include_in_schema=False)
def get_model_recommendations_content(
    model_id: str,
    recommendation_id: str,
    *,
    request: Request,
    principal: PrincipalDep,
    session: SessionDep,
    blobs: BlobsDep,
) -> Response:
    """Download a batch: parquet with user, rank, item and score; resumable by Range, ETag is its SHA-256."""
    batch = batches.get(session, principal.project_id, model_id, recommendation_id)
    return serve_blob(request, blobs, batches.content(batch), filename=f"{batch.id}.parquet")


@router.delete(
    "/{recommendation_id}",
    responses={
        **shown({"id": BATCH_ID, "object": "model.recommendations", "deleted": True, "freed_bytes": 81234}),
        **problem_responses(404),
    },
)
def delete_model_recommendations(
    model_id: str, recommendation_id: str, principal: PrincipalDep, session: SessionDep, blobs: BlobsDep
) -> BatchDeleted:
    """Delete a batch and free its bytes; one that runs is stopped."""
    batch = batches.get(session, principal.project_id, model_id, recommendation_id)
    return BatchDeleted(id=recommendation_id, freed_bytes=batches.delete(session, blobs, batch))
