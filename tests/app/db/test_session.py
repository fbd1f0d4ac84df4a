"""The unit of work and its outbox: what leaves, when, and what never does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from app.db.models.project import Project
from app.db.session import Database, Message, pending_messages, send_after_commit
from tests.factories import RecordingSender


def _names(database: Database) -> list[str]:
    with database.unit_of_work() as session:
        return list(session.execute(select(Project.name).order_by(Project.name)).scalars())


def test_sent_only_after_the_commit(database: Database, sender: RecordingSender) -> None:
    with database.unit_of_work() as session:
        session.add(Project(name="a"))
        send_after_commit(session, "task", "id-1", queue="light")
        assert sender.sent == []
    assert sender.sent == [Message("task", ("id-1",), "light")]
    assert _names(database) == ["a"]


def test_a_rollback_forgets_and_stays_forgotten(database: Database, sender: RecordingSender) -> None:
    with database.sessions() as session:
        session.add(Project(name="a"))
        send_after_commit(session, "ghost", queue="light")
        session.rollback()
        session.add(Project(name="b"))
        session.commit()
    assert sender.sent == []
    assert _names(database) == ["b"]


def test_a_raising_body_rolls_back(database: Database, sender: RecordingSender) -> None:
    def body() -> None:
        with database.unit_of_work() as session:
            session.add(Project(name="a"))
            send_after_commit(session, "ghost", queue="light")
            raise KeyError

    with pytest.raises(KeyError):
        body()
    assert sender.sent == []
    assert _names(database) == []


def test_a_failing_commit_sends_nothing(database: Database, sender: RecordingSender) -> None:
    with database.unit_of_work() as session:
        session.execute(text("CREATE TABLE late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
    session = database.sessions()
    session.execute(text("INSERT INTO late VALUES (1), (1)"))
    send_after_commit(session, "ghost", queue="light")
    with pytest.raises(IntegrityError):
        session.commit()
    session.close()
    assert sender.sent == []
    with database.unit_of_work() as session:
        session.execute(text("DROP TABLE late"))


def test_savepoints(database: Database, sender: RecordingSender) -> None:
    with database.unit_of_work() as session:
        send_after_commit(session, "before", queue="light")
        with session.begin_nested():
            send_after_commit(session, "kept", queue="light")
        assert sender.sent == []  # a released savepoint is not durable yet
        inner = session.begin_nested()
        send_after_commit(session, "dropped", queue="light")
        inner.rollback()
        send_after_commit(session, "after", queue="light")
        assert [message.task_name for message in pending_messages(session)] == ["before", "kept", "after"]
    assert [message.task_name for message in sender.sent] == ["before", "kept", "after"]


def test_a_failed_flush_in_a_savepoint_drops_only_the_savepoint(
    database: Database, sender: RecordingSender
) -> None:
    with database.unit_of_work() as session:
        session.add(Project(name="a"))
        session.flush()
        send_after_commit(session, "kept", queue="light")
        inner = session.begin_nested()
        send_after_commit(session, "dropped", queue="light")
        session.add(Project(name="a"))
        with pytest.raises(IntegrityError):
            session.flush()
        inner.rollback()
    assert [message.task_name for message in sender.sent] == ["kept"]


def test_closing_a_session_forgets(database: Database, sender: RecordingSender) -> None:
    session = database.sessions()
    session.execute(select(Project))
    send_after_commit(session, "ghost", queue="light")
    session.close()
    session.commit()
    assert sender.sent == []


def test_a_database_without_sender_says_so(database_url: str) -> None:
    database = Database(database_url)
    session = database.sessions()
    session.execute(select(Project))
    send_after_commit(session, "task", queue="light")
    with pytest.raises(RuntimeError, match="no sender"):
        session.commit()
    session.close()
    database.dispose()


def test_a_connection_that_comes_back_after_the_end_is_closed(database_url: str) -> None:
    database = Database(database_url)
    with database.sessions() as session:
        held = session.connection().connection.dbapi_connection
        database.dispose()
        assert held is not None
        assert not held.closed  # type: ignore[attr-defined]
    assert held.closed  # type: ignore[attr-defined]


def test_a_connection_that_is_opened_after_the_end_is_closed_too(database_url: str) -> None:
    database = Database(database_url)
    database.dispose()
    with database.sessions() as session:
        late = session.connection().connection.dbapi_connection
        assert late is not None
    assert late.closed  # type: ignore[attr-defined]


def test_the_connection_that_came_back_last_is_handed_out_first(database: Database) -> None:
    """Those that lie idle stay as small as they are: each keeps the largest buffer that it ever needed."""
    first, second = database.engine.connect(), database.engine.connect()
    last = second.connection.dbapi_connection
    first.close()
    second.close()
    with database.engine.connect() as again:
        assert again.connection.dbapi_connection is last


def test_times_are_utc_whatever_the_database_says(database_url: str, database: Database) -> None:
    with database.unit_of_work() as session:
        name = session.execute(text("SELECT quote_ident(current_database())")).scalar_one()
        session.execute(text(f"ALTER DATABASE {name} SET timezone TO 'Asia/Tokyo'"))
    later = Database(database_url)
    with later.unit_of_work() as session:
        assert session.execute(text("SELECT now()")).scalar_one().utcoffset() == timedelta(0)
    with later.unit_of_work() as session:
        assert session.execute(text("SHOW timezone")).scalar_one() == "UTC"
    later.dispose()


def test_reading_has_no_transaction_and_its_connection_begins_one_for_whoever_has_it_next(
    database_url: str,
) -> None:
    database = Database(database_url, pool_size=1)
    now = select(func.now())
    with database.reading() as reader:
        assert reader.execute(now).scalar_one() < reader.execute(now).scalar_one()
        backend = reader.execute(select(func.pg_backend_pid())).scalar_one()
    with database.unit_of_work() as session:
        assert session.execute(select(func.pg_backend_pid())).scalar_one() == backend
        assert session.execute(now).scalar_one() == session.execute(now).scalar_one()
    database.dispose()
