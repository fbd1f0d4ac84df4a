"""A database that restarts between two requests fails neither of them."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from sqlalchemy import text

from app.db import liveness
from app.db.session import Database


@pytest.fixture
def pooled(database_url: str) -> Iterator[Database]:
    database = Database(database_url, pool_size=2)
    yield database
    database.dispose()


def backend_of(database: Database) -> int:
    with database.unit_of_work() as session:
        return int(session.execute(text("SELECT pg_backend_pid()")).scalar_one())


def terminate(database: Database, backend: int) -> None:
    with database.unit_of_work() as session:
        assert session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": backend}).scalar_one()


def test_a_connection_that_the_server_closed_is_not_handed_out(pooled: Database, database: Database) -> None:
    first = backend_of(pooled)
    assert backend_of(pooled) == first
    terminate(database, first)
    second = backend_of(pooled)
    assert second != first
    assert backend_of(pooled) == second


def test_all_that_waited_in_the_pool_go_with_a_dead_one(pooled: Database, database: Database) -> None:
    with pooled.unit_of_work() as one, pooled.unit_of_work() as two:
        backends = [session.execute(text("SELECT pg_backend_pid()")).scalar_one() for session in (one, two)]
    for backend in backends:
        terminate(database, backend)
    with pooled.unit_of_work() as one, pooled.unit_of_work() as two:
        alive = [session.execute(text("SELECT pg_backend_pid()")).scalar_one() for session in (one, two)]
    assert not set(alive) & set(backends)


def test_the_server_is_asked_only_after_a_while(pooled: Database) -> None:
    dialect = pooled.engine.dialect
    backend = backend_of(pooled)
    with patch.object(dialect, "do_ping", wraps=dialect.do_ping) as ping:
        assert backend_of(pooled) == backend
        assert ping.call_count == 0
        with patch.object(liveness, "ASKED_AFTER_SECONDS", 0.0):
            assert backend_of(pooled) == backend
        assert ping.call_count == 1


def test_a_connection_that_was_asked_is_handed_out_outside_of_a_transaction(pooled: Database) -> None:
    backend_of(pooled)
    with patch.object(liveness, "ASKED_AFTER_SECONDS", 0.0), pooled.engine.connect() as connection:
        pooled_connection = connection.connection.driver_connection
        assert isinstance(pooled_connection, psycopg.Connection)
        assert pooled_connection.info.transaction_status is TransactionStatus.IDLE
        assert not pooled_connection.autocommit


def test_a_host_that_is_lost_without_a_word_is_not_waited_for(pooled: Database) -> None:
    with pooled.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        given = driver.info.get_parameters()
    assert {"connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count"} < given.keys()
    assert int(given["tcp_user_timeout"]) <= 30_000
