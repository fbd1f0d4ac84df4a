"""Waiting for what another thread or process does; on a busy machine that takes its time."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import text

from app.db.session import Database

LOCKED_OUT = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def wait_until(condition: Callable[[], object], seconds: float = 60.0, *, every: float = 0.02) -> None:
    """Return as soon as the condition is true; fail when it has not become so in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come to be within {seconds:g} s"
        time.sleep(every)


def wait_for_a_waiting_request(database: Database) -> None:
    """Return once a statement waits for a lock: the request has come as far as what this test holds."""

    def waiting() -> int:
        with database.engine.connect() as connection:
            return connection.execute(LOCKED_OUT).scalar_one()

    wait_until(waiting)
