"""Models over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Query, Request, Response

from app.deps import BlobsDep, PageDep, PrincipalDep, SessionDep
from app.examples import MODEL_ID, listed, shown
from app.idempotency import IdempotentRoute
from app.models import alias_routes, batch_routes, service
from app.models.bundle import bundle_of
from app.models.loaded import LoadedModels
from app.models.queries import Wanted
from app.models.schemas import (
    ANSWER_EXAMPLE,
    CHANGE_EXAMPLE,
    EXAMPLE,
    RECOMMEND_EXAMPLE,
    ModelChange,
    ModelDeleted,
    ModelObject,
    Recommendation,
    Recommendations,
    RecommendedItem,
    RecommendRequest,
)
from app.pagination import ListOf, list_of
from app.problems import problem_responses
from app.storage.serving import BLOB_RESPONSES, serve_blob, serve_content

CARD_FILE = "README.md"
"""As `worker.training.portable` names it."""

router = APIRouter(prefix="/models", tags=["models"], route_class=IdempotentRoute)


async def get_loaded_models(request: Request) -> LoadedModels:
    """The application's models in memory."""
    state = request.app.state
    if not hasattr(state, "loaded_models"):
        state.loaded_models = LoadedModels()
    loaded: LoadedModels = state.loaded_models
    return loaded


LoadedDep = Annotated[LoadedModels, Depends(get_loaded_models)]


@router.get("", responses={**shown(listed(EXAMPLE)), **problem_responses(422)})
def list_models(
    principal: PrincipalDep,
    session: SessionDep,
    page: PageDep,
    *,
    job: Annotated[str | None, Query(max_length=64, description="Only those of this job.")] = None,
    arm: Annotated[str | None, Query(max_length=32, description="Only those of this arm.")] = None,
    name: Annotated[str | None, Query(max_length=400, description="Only versions of this name.")] = None,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only this version.")] = None,
    alias: Annotated[str | None, Query(max_length=64, description="Only those with this alias.")] = None,
) -> ListOf[ModelObject]:
    """List the project's models, newest first."""
    wanted = Wanted(job=job, arm=arm, name=name, version=version, alias=alias)
    rows, has_more = service.list_page(session, principal.project_id, page, wanted)
    objects = {model.id: model for model in service.shown(session, rows)}
    return list_of(rows, has_more, lambda model: objects[model.id])


@router.get("/{model_id}", responses={**shown(EXAMPLE), **problem_responses(404)})
def get_model(model_id: str, principal: PrincipalDep, session: SessionDep) -> ModelObject:
    """Show one model, its metrics and its files; `name@version` and `name@alias` do as its id."""
    (shown_model,) = service.shown(session, [service.get(session, principal.project_id, model_id)])
    return shown_model


@router.patch("/{model_id}", responses={**shown(EXAMPLE), **problem_responses(404, 409, 422)})
def update_model(
    model_id: str,
    change: Annotated[ModelChange, Body(openapi_examples={"rename": {"value": CHANGE_EXAMPLE}})],
    principal: PrincipalDep,
    session: SessionDep,
) -> ModelObject:
    """Register a model under another name, as that name's next version."""
    model = service.rename(session, principal.project_id, model_id, change.name)
    (shown_model,) = service.shown(session, [model])
    return shown_model


@router.get(
    "/{model_id}/card",
    response_class=Response,
    responses={
        200: {"content": {"text/markdown": {"schema": {"type": "string"}, "example": "# sasrec (cascade)"}}},
        **{status: BLOB_RESPONSES[status] for status in (206, 304)},
        **problem_responses(404, 416),
    },
)
@router.head("/{model_id}/card", include_in_schema=False)
def get_model_card(
    model_id: str, *, request: Request, principal: PrincipalDep, session: SessionDep, blobs: BlobsDep
) -> Response:
    """Read a model's card: what it is, how good and how steady, and how to use it (Markdown)."""
    found = service.file(session, principal.project_id, model_id, CARD_FILE)
    return serve_blob(request, blobs, found.blob_id, content_type="text/markdown; charset=utf-8")


@router.get(
    "/{model_id}/files/{path}",
    response_class=Response,
    responses={
        **BLOB_RESPONSES,
        **problem_responses(404, 416),
    },
)
@router.head("/{model_id}/files/{path}", include_in_schema=False)
def get_model_file(
    model_id: str,
    path: str,
    *,
    request: Request,
    principal: PrincipalDep,
    session: SessionDep,
    blobs: BlobsDep,
) -> Response:
    """Download one file of a model; resumable by Range, ETag is its SHA-256."""
    found = service.file(session, principal.project_id, model_id, path)
    return serve_blob(request, blobs, found.blob_id, filename=found.path, content_type=found.media_type)


@router.get(
    "/{model_id}/bundle",
    response_class=Response,
    responses={
        200: {
            "description": "A zip file",
            "content": {
                "application/zip": {
                    "schema": {"type": "string", "format": "binary"},
                    "example": "the bytes of the zip file",
                }
            },
        },
        **{status: BLOB_RESPONSES[status] for status in (206, 304)},
        **problem_responses(404, 416),
    },
)
@router.head("/{model_id}/bundle", include_in_schema=False)
def get_model_bundle(
    model_id: str,
    *,
    request: Request,
    principal: PrincipalDep,
    session: SessionDep,
    blobs: BlobsDep,
) -> Response:
    """Download all of a model in one zip: its files, the job's report, and a loader that needs only numpy."""
    model = service.get(session, principal.project_id, model_id)
    return serve_content(
        request,
        bundle_of(session, blobs, model),
        filename=f"{model.name}-{model.version}.zip",
        content_type="application/zip",
    )


@router.post("/{model_id}/recommend", responses={**shown(ANSWER_EXAMPLE), **problem_responses(404, 413, 422)})
def recommend(
    model_id: str,
    *,
    asked: Annotated[RecommendRequest, Body(openapi_examples={"what if": {"value": RECOMMEND_EXAMPLE}})],
    principal: PrincipalDep,
    session: SessionDep,
    blobs: BlobsDep,
    loaded: LoadedDep,
) -> Recommendations:
    """Recommend what comes next after each history; `replace` asks 'what if an item were another'."""
    from app.models import recommending  # noqa: PLC0415 - numpy only where somebody asks

    model, answers = recommending.recommend(
        session, blobs, loaded, project_id=principal.project_id, model_id=model_id, asked=asked
    )
    return Recommendations(
        model=model.id,
        name=model.name,
        version=model.version,
        data=[
            Recommendation(items=[RecommendedItem(item=item, score=score) for item, score in answer])
            for answer in answers
        ],
    )


@router.delete(
    "/{model_id}",
    responses={
        **shown({"id": MODEL_ID, "object": "model", "deleted": True, "freed_bytes": 640112}),
        **problem_responses(404, 409),
    },
)
def delete_model(
    model_id: str, principal: PrincipalDep, session: SessionDep, blobs: BlobsDep, loaded: LoadedDep
) -> ModelDeleted:
    """Delete a model and free its bytes; refused while an alias points at it or something uses it."""
    freed = service.delete(session, blobs, loaded, principal.project_id, model_id)
    return ModelDeleted(id=model_id, freed_bytes=freed)


router.include_router(alias_routes.router)
router.include_router(batch_routes.router)
