"""The one chain: up, down, up again, and no difference from the tables in code."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import NullPool

from app.accounts.service import create_key
from app.db import migrate, revision
from app.db.tables import metadata
from app.storage.database import DatabaseBlobStore
from tests.factories import RecordingSender, make_ready_dataset, opened
from tests.stored_models import store_models


def _tables(url: str) -> set[str]:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return set(inspect(connection).get_table_names())


def test_up_down_up(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    assert _tables(empty_database_url) == {*metadata.tables, "alembic_version"}
    migrate.downgrade(empty_database_url, "base")
    assert _tables(empty_database_url) == {"alembic_version"}
    migrate.upgrade(empty_database_url)
    assert _tables(empty_database_url) == {*metadata.tables, "alembic_version"}
    with create_engine(empty_database_url, poolclass=NullPool).connect() as connection:
        assert revision.current(connection) == revision.head()
    assert ScriptDirectory.from_config(migrate.configuration()).get_current_head() == revision.head()


def test_rows_go_down_and_up_again(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    with opened(empty_database_url, RecordingSender()) as database:
        blobs = DatabaseBlobStore(database.engine)
        store_models(database, blobs)
        with database.unit_of_work() as session:
            twice = [make_ready_dataset(session, blobs, name="x").id for _ in range(2)]
            narrow = create_key(session, name="narrow", scopes=["read"])[0].id
    migrate.downgrade(empty_database_url, "0001")
    migrate.upgrade(empty_database_url)
    with create_engine(empty_database_url, poolclass=NullPool).connect() as connection:

        def ask(sql: str, **given: Any) -> list[Any]:
            return list(connection.execute(text(sql), given).scalars())

        assert ask("SELECT version FROM datasets WHERE id = ANY(:ids) ORDER BY id", ids=twice) == [1, 2]
        assert ask("SELECT last_version FROM dataset_names WHERE name = 'x'") == [2]
        assert ask("SELECT name || '@' || version FROM models") == ["films-sasrec-cascade@1"]
        assert ask("SELECT sum(jobs) FROM usage_days") == [1]
        # Else it would have become an admin's: there were no scopes then.
        assert ask("SELECT revoked_at IS NOT NULL FROM api_keys WHERE id = :id", id=narrow) == [True]


def test_models_and_migrations_agree(database_url: str) -> None:
    with create_engine(database_url, poolclass=NullPool).connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_check_constraints_agree(database_url: str, empty_database_url: str) -> None:
    """Autogenerate does not look at checks: compare them with those of tables made straight from the code."""
    query = text(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'c' AND connamespace = 'public'::regnamespace ORDER BY 1, 2"
    )
    fresh = create_engine(empty_database_url, poolclass=NullPool)
    metadata.create_all(fresh)
    with fresh.connect() as connection:
        in_code = connection.execute(query).all()
    with create_engine(database_url, poolclass=NullPool).connect() as connection:
        migrated = connection.execute(query).all()
    assert migrated == in_code
    assert len(migrated) > 10


def test_two_processes_upgrade_at_once(empty_database_url: str) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            migrate.upgrade(empty_database_url)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert "jobs" in _tables(empty_database_url)


def test_a_table_that_a_backup_reads_is_not_waited_for_with_everybody_behind(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "_LOCK_SECONDS", 0.2)
    migrate.upgrade(empty_database_url)
    migrate.downgrade(empty_database_url, "0013")  # 0014 alters a table that is there
    with create_engine(empty_database_url, poolclass=NullPool).connect() as backup:
        before = revision.current(backup)
        for table in metadata.tables:
            backup.execute(text(f'SELECT FROM "{table}" LIMIT 1'))
        with pytest.raises(migrate.TableHeldError, match="nothing was changed"):
            migrate.upgrade(empty_database_url)
        assert revision.current(backup) == before
        backup.rollback()
        migrate.upgrade(empty_database_url)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO blobs (id, content_type, size) VALUES ('blob_1', 'x', 3)",
        "INSERT INTO workers (id, queue, versions) VALUES ('w', 'other', '{}')",
    ],
)
def test_the_database_refuses_broken_rows(database_url: str, statement: str) -> None:
    engine = create_engine(database_url, poolclass=NullPool)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text(statement))
