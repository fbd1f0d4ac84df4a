"""API keys over HTTP; all of it needs the scope `admin`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Response

from app.accounts import service
from app.accounts.schemas import CREATE, EXAMPLE, ApiKeyCreate, ApiKeyCreated, ApiKeyObject
from app.accounts.scopes import Scope, allowed
from app.deps import PageDep, PrincipalDep, SessionDep
from app.errors import Forbidden
from app.examples import listed, shown
from app.idempotency import IdempotentRoute
from app.pagination import ListOf, list_of
from app.problems import problem_responses

router = APIRouter(prefix="/api_keys", tags=["api keys"], route_class=IdempotentRoute)


@router.post(
    "",
    status_code=201,
    responses={
        **shown({**EXAMPLE, "secret": "sr_9fGh…"}, 201),
        **problem_responses(413, 422),
    },
)
def create_api_key(
    body: Annotated[ApiKeyCreate, Body(openapi_examples={"key": {"value": CREATE}})],
    response: Response,
    principal: PrincipalDep,
    session: SessionDep,
) -> ApiKeyCreated:
    """Make a key of this project; its `secret` is shown in this answer and never again."""
    if Scope.OPERATOR in body.scopes and not allowed(principal.scopes, Scope.OPERATOR):
        raise Forbidden(Scope.OPERATOR)  # no key makes one that may do more than itself
    key, secret = service.create_key(
        session,
        name=body.name,
        owner_id=principal.project_id,
        scopes=body.scopes,
        expires_at=body.expires_at,
    )
    response.headers["Location"] = f"/v1/api_keys/{key.id}"
    response.headers["Cache-Control"] = "no-store"
    return ApiKeyCreated(**ApiKeyObject.of(key).model_dump(), secret=secret)


@router.get("", responses={**shown(listed(EXAMPLE)), **problem_responses(422)})
def list_api_keys(principal: PrincipalDep, session: SessionDep, page: PageDep) -> ListOf[ApiKeyObject]:
    """List the project's keys, newest first; revoked ones too."""
    rows, has_more = service.keys_page(session, principal.project_id, page)
    return list_of(rows, has_more, ApiKeyObject.of)


@router.get("/{api_key_id}", responses={**shown(EXAMPLE), **problem_responses(404)})
def get_api_key(api_key_id: str, principal: PrincipalDep, session: SessionDep) -> ApiKeyObject:
    """Show one key, without its secret."""
    return ApiKeyObject.of(service.get_key(session, principal.project_id, api_key_id))


@router.delete(
    "/{api_key_id}",
    responses={**shown({**EXAMPLE, "revoked_at": "2025-12-01T08:00:00Z"}), **problem_responses(404)},
)
def revoke_api_key(api_key_id: str, principal: PrincipalDep, session: SessionDep) -> ApiKeyObject:
    """Revoke a key: it opens nothing from now on, and stays in the list; harmless on a revoked one."""
    return ApiKeyObject.of(service.revoke_key(session, api_key_id, by=principal))
