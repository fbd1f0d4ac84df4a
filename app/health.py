"""Is the process alive, and is everything that it needs there: the two pages without a key."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel

from app.db import revision
from app.db.session import Database
from app.deps import DatabaseDep, QueueDep
from app.errors import ServiceUnavailable
from app.problems import problem_responses

logger = logging.getLogger(__name__)

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Each thing that the service needs, and whether it is there."""

    status: Literal["ready"] = "ready"
    checks: dict[str, str]


_ALIVE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": {"status": "ok"}}}}
}
_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: problem_responses(503)[503],
    200: {"content": {"application/json": {"example": {"status": "ready", "checks": {"database": "ok"}}}}},
}


@router.get("/healthz", responses=_ALIVE)
async def healthz() -> Health:
    """Answer as long as the process lives; looks at nothing else."""
    return Health()


@router.get("/readyz", responses=_NOT_READY)
def readyz(database: DatabaseDep, queue: QueueDep) -> Readiness:
    """Check the database, its migrations and the broker; 503 names what is down."""
    checks = {
        "database": _checked(lambda: _database_is_at_head(database)),
        "broker": _checked(queue.ping),
    }
    down = [name for name, outcome in checks.items() if outcome != "ok"]
    if down:
        raise ServiceUnavailable(f"Not ready: {', '.join(down)}.", extra={"checks": checks})
    return Readiness(checks=checks)


class _NotMigratedError(Exception):
    """The schema is not the one that this code was written for."""


def _database_is_at_head(database: Database) -> None:
    with database.engine.connect() as connection:
        current = revision.current(connection)
    if current != (needed := revision.head()):
        raise _NotMigratedError(f"the schema is at {current}, this version needs {needed}")


def _checked(check: Callable[[], None]) -> str:
    """`ok`, or what is wrong in a word or two: addresses and passwords stand in error texts, so not those.

    The log has the rest, without passwords.
    """
    try:
        check()
    except _NotMigratedError as error:
        return str(error)
    except Exception as error:  # whatever a driver raises, the answer is the same
        logger.warning("not ready: %s", error)
        return f"down ({type(error).__name__})"
    return "ok"
