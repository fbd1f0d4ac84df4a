"""What routes ask for: a session, the caller, the blobs, the queue, the page.

What waits for nothing is `async def`: FastAPI sends every other dependency through a thread of the pool, and
the way there and back costs more than such a function.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, cast

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session

from app import idempotency
from app.accounts.middleware import PRINCIPAL
from app.accounts.scopes import Scope, allowed, needed
from app.accounts.service import Principal
from app.config import Settings
from app.db.session import Database
from app.errors import Forbidden, Unauthorized
from app.pagination import DEFAULT_LIMIT, LARGEST_LIMIT, Page
from app.queue import Queue
from app.route_templates import route_of
from app.storage.blobs import BlobStore
from app.turns import TurnDep, take_turn

_bearer = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer sr_…`")


async def get_settings(request: Request) -> Settings:
    """The settings that the application was made with."""
    return cast("Settings", request.app.state.settings)


async def get_database(request: Request) -> Database:
    """For routes that open short units of work themselves (streams)."""
    return cast("Database", request.app.state.database)


DatabaseDep = Annotated[Database, Depends(get_database)]


def get_late_session(request: Request, database: DatabaseDep, _: TurnDep) -> Iterator[Session]:
    """A unit of work for a route that receives a long body first, and takes its turn (`TurnDep`) then."""
    with database.unit_of_work() as session:
        idempotency.enter(request, session)
        yield session


def get_session(
    request: Request,
    database: DatabaseDep,
    turn: TurnDep,
    _: Annotated[None, Depends(take_turn, scope="function")],
) -> Iterator[Session]:
    """A unit of work around the route function; a connection is taken at the first query."""
    yield from get_late_session(request, database, turn)


async def get_principal(
    request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    """The caller, whose key the middleware has checked; the bearer scheme is here for the OpenAPI page.

    The middleware goes by the path as it came; what the scopes have to reach to in the end is the route.
    """
    principal = getattr(request.state, PRINCIPAL, None)
    if not isinstance(principal, Principal):
        raise Unauthorized("This path needs an API key.")
    template = route_of(request.scope)
    wanted = needed(request.method, template) if template.startswith("/v1/") else Scope.OPERATOR
    if not allowed(principal.scopes, wanted):
        raise Forbidden(wanted)
    return principal


async def get_blobs(request: Request) -> BlobStore:
    """Where large bytes are."""
    return cast("BlobStore", request.app.state.blobs)


async def get_queue(request: Request) -> Queue:
    """The way to the broker; services use `send_after_commit`, which ends there."""
    return cast("Queue", request.app.state.queue)


async def get_page(
    limit: Annotated[int, Query(ge=1, le=LARGEST_LIMIT, description="At most this many.")] = DEFAULT_LIMIT,
    after: Annotated[str | None, Query(description="`last_id` of the page before.")] = None,
) -> Page:
    """The part of a list that is asked for."""
    return Page(limit, after)


SettingsDep = Annotated[Settings, Depends(get_settings)]
# scope="function": the commit comes before the response, so that a 201 is a promise kept.
SessionDep = Annotated[Session, Depends(get_session, scope="function")]
LateSessionDep = Annotated[Session, Depends(get_late_session, scope="function")]
PrincipalDep = Annotated[Principal, Depends(get_principal)]
BlobsDep = Annotated[BlobStore, Depends(get_blobs)]
QueueDep = Annotated[Queue, Depends(get_queue)]
PageDep = Annotated[Page, Depends(get_page)]
