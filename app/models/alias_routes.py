"""Aliases of models over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query
from sqlalchemy.orm import Session

from app.db.models.model import Model
from app.db.models.model_alias import ModelAlias
from app.deps import PageDep, PrincipalDep, SessionDep
from app.examples import shown
from app.idempotency import IdempotentRoute
from app.models import aliases
from app.models.alias_schemas import (
    EXAMPLE,
    PUT_EXAMPLE,
    VALID_EXAMPLE,
    AliasDeleted,
    AliasList,
    AliasName,
    AliasObject,
    AliasPut,
    AliasValidation,
)
from app.pagination import page_by_name
from app.problems import problem_responses

router = APIRouter(prefix="/{name}/aliases", route_class=IdempotentRoute)

Name = Annotated[str, Path(max_length=400, description="The name under which the models are registered.")]
Alias = Annotated[AliasName, Path(description="Such as `production`; `latest` and numbers are taken.")]


_LISTED = {"object": "list", "data": [EXAMPLE], **dict.fromkeys(("first_id", "last_id"), EXAMPLE["alias"])}


@router.get("", responses={**shown({**_LISTED, "has_more": False}), **problem_responses(404, 422)})
def list_model_aliases(name: Name, principal: PrincipalDep, session: SessionDep, page: PageDep) -> AliasList:
    """List the aliases of a name, by alias, each with its last move."""
    rows = aliases.list_of_name(session, principal.project_id, name)
    found, has_more = page_by_name(rows, lambda row: row.alias, page)
    data = [_shown(session, row, moves=1) for row in found]
    first, last = (data[0].alias, data[-1].alias) if data else (None, None)
    return AliasList(data=data, first_id=first, last_id=last, has_more=has_more)


@router.get("/{alias}", responses={**shown(EXAMPLE), **problem_responses(404, 422)})
def get_model_alias(name: Name, alias: Alias, principal: PrincipalDep, session: SessionDep) -> AliasObject:
    """Show where an alias points, its gates, and where it pointed before."""
    return _shown(session, aliases.get(session, principal.project_id, name, alias))


@router.put(
    "/{alias}",
    responses={
        200: {
            "content": {
                "application/json": {
                    "examples": {"moved": {"value": EXAMPLE}, "validate only": {"value": VALID_EXAMPLE}}
                }
            }
        },
        **problem_responses(404, 409, 422),
    },
)
def put_model_alias(
    name: Name,
    alias: Alias,
    *,
    asked: Annotated[AliasPut, Body(openapi_examples={"gated": {"value": PUT_EXAMPLE}})],
    principal: PrincipalDep,
    session: SessionDep,
    validate_only: Annotated[bool, Query(description="Only check whether it would pass.")] = False,
) -> AliasObject | AliasValidation:
    """Let an alias point at a model, if the model meets the conditions; the move is atomic."""
    move = aliases.put(session, principal, name, alias, asked, validate_only=validate_only)
    if validate_only:
        return AliasValidation(
            name=name,
            alias=alias,
            model=move.target.id,
            version=move.target.version,
            from_version=None if move.current is None else move.current.version,
            checks=move.checks,
        )
    return _shown(session, aliases.get(session, principal.project_id, name, alias))


@router.delete(
    "/{alias}",
    responses={
        **shown(
            {
                "object": "model.alias",
                "name": EXAMPLE["name"],
                "alias": "production",
                "deleted": True,
                "freed_bytes": 0,
            }
        ),
        **problem_responses(404, 422),
    },
)
def delete_model_alias(
    name: Name, alias: Alias, principal: PrincipalDep, session: SessionDep
) -> AliasDeleted:
    """Take an alias away; its history is kept."""
    aliases.delete(session, principal, name, alias)
    return AliasDeleted(name=name, alias=alias)


def _shown(session: Session, row: ModelAlias, *, moves: int = aliases.HISTORY) -> AliasObject:
    return AliasObject.of(row, session.get_one(Model, row.model_id), aliases.history(session, row, moves))
