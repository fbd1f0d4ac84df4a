"""Whether a pooled connection still lives, mostly without asking the server.

SQLAlchemy's own check asks the server at every checkout, a round trip more for each request. A server that
goes away closes its end, and then there is something to read: only such connections are asked, and those that
lay idle for a while, since a network may forget them without a word.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, cast

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

ASKED_AFTER_SECONDS = 10.0
_USED_AT = "steadyrank.used_at"


def check_on_checkout(engine: Engine) -> None:
    """Let an engine of psycopg hand out only live connections; a dead one takes the pool's others with it."""

    @event.listens_for(engine, "checkin")
    def note(connection: psycopg.Connection | None, entry: ConnectionPoolEntry) -> None:
        entry.info[_USED_AT] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def check(connection: psycopg.Connection, entry: ConnectionPoolEntry, _: PoolProxiedConnection) -> None:
        used_at = entry.info.get(_USED_AT)
        if used_at is None:  # opened for this checkout
            return
        if time.monotonic() - used_at < ASKED_AFTER_SECONDS and _is_quiet(connection):
            return
        errors = engine.dialect.loaded_dbapi.Error
        try:
            # The connection itself: the pool's proxy takes `autocommit` as an attribute of its own, and the
            # question would begin a transaction that whoever asked for a connection is handed unseen.
            engine.dialect.do_ping(cast("DBAPIConnection", connection))
        except errors as error:
            raise InvalidatePoolError("the server closed the connection") from error


def _is_quiet(connection: psycopg.Connection) -> bool:
    """Whether nothing waits to be read: no end of the connection, and no notice."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)
