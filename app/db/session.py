"""The engine, the unit of work, and the outbox of messages that may only leave after a commit.

Application code never commits: it works inside `Database.unit_of_work()`, which commits once at its end.
A message queued by `send_after_commit` leaves after that commit; a rollback forgets it (a savepoint's
rollback only what was queued inside the savepoint), so that no worker is woken for a row that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, SessionTransaction, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from app.db.liveness import check_on_checkout

if TYPE_CHECKING:
    import psycopg

AWAY = (OperationalError, PoolTimeoutError)
"""What is raised while the database cannot be reached, or every connection to it is taken."""
_OUTBOX = "steadyrank.outbox"
_SENDER = "steadyrank.sender"
_MARKS = "steadyrank.outbox_marks"
_OVERFLOW = 2
_CONNECTING = {
    "application_name": "steadyrank",
    "connect_timeout": 10,
    # A host that is lost without a word would otherwise be waited for between 15 minutes and 2 hours. These
    # mean nothing on a unix socket.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds
}
"""What every connection to Postgres is opened with (libpq's names)."""


@dataclass(frozen=True)
class Message:
    """One wake-up: a task name, its arguments (ids only) and the queue that it goes to."""

    task_name: str
    args: tuple[str, ...]
    queue: str


class Sender(Protocol):
    """Where messages leave to. Must not raise when the broker is down: a lost wake-up is sent again later."""

    def send(self, message: Message) -> None:
        """Hand one message to the broker."""


class ServiceSession(Session):
    """A session with an outbox."""


Reader = Session | Connection
"""What a query is asked through: a unit of work, or a connection that only reads."""


def send_after_commit(session: Session, task_name: str, *args: str, queue: str) -> None:
    """Send a task once the session's outermost transaction has committed; never if it is rolled back."""
    session.info.setdefault(_OUTBOX, []).append(Message(task_name, args, queue))


def pending_messages(session: Session) -> list[Message]:
    """What would be sent if the session committed now."""
    return list(session.info.get(_OUTBOX, ()))


@event.listens_for(ServiceSession, "after_commit")
def _send(session: Session) -> None:
    if session.in_nested_transaction():  # a savepoint was released: nothing is durable yet
        return
    messages = cast("list[Message]", session.info.pop(_OUTBOX, []))
    sender = cast("Sender | None", session.info.get(_SENDER))
    if messages and sender is None:
        raise RuntimeError("a message was queued on a database that has no sender")
    for message in messages:
        cast("Sender", sender).send(message)


@event.listens_for(ServiceSession, "after_transaction_create")
def _mark(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        marks = session.info.setdefault(_MARKS, {})
        marks[id(transaction)] = len(session.info.get(_OUTBOX, ()))


@event.listens_for(ServiceSession, "after_soft_rollback")
def _forget(session: Session, previous: SessionTransaction) -> None:
    if previous.nested:
        kept = session.info.get(_MARKS, {}).get(id(previous), 0)
        del session.info.get(_OUTBOX, [])[kept:]
    elif previous.parent is None:  # not a failed flush inside: its savepoint or root is rolled back in turn
        session.info.pop(_OUTBOX, None)


@event.listens_for(ServiceSession, "after_transaction_end")
def _tidy(session: Session, transaction: SessionTransaction) -> None:
    # after_soft_rollback comes later than this event and reads savepoints' marks: they wait for the root.
    if transaction.parent is None:
        session.info.pop(_OUTBOX, None)
        session.info.pop(_MARKS, None)


class Database:
    """One process's way to the database: an engine, and sessions that send through `sender`.

    Args:
        url: Postgres address in SQLAlchemy's form (`Settings.database`).
        sender: Where the outbox sends; without one, `send_after_commit` makes the commit raise.
        pool_size: Connections kept open; twice as many more are opened under load.

    """

    def __init__(self, url: str, *, sender: Sender | None = None, pool_size: int = 5) -> None:
        self.capacity = (1 + _OVERFLOW) * pool_size
        self.engine: Engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=_OVERFLOW * pool_size,
            pool_use_lifo=True,  # the one used last, so that not all keep a buffer of a chunk's size
            connect_args=_CONNECTING,
        )
        event.listen(self.engine, "connect", _show_times_in_utc)
        check_on_checkout(self.engine)
        self.sessions: sessionmaker[ServiceSession] = sessionmaker(
            self.engine, class_=ServiceSession, expire_on_commit=False, info=_info(sender)
        )
        self._outside = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def unit_of_work(self) -> Iterator[Session]:
        """A session in one transaction: committed at the end, rolled back when the body raises."""
        with self.sessions() as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for queries of which each stands for itself: outside of any transaction.

        It saves the two round trips that begin and end one, and the objects of a session, which together are
        most of what a single small query costs. Nothing may be written through it: it would be there at once,
        whatever came after.
        """
        with self._outside.connect() as connection:
            yield connection

    def dispose(self) -> None:
        """Close every pooled connection; one in use, or opened by a late thread, once it comes back."""
        pool = self.engine.pool
        self.engine.dispose()  # the engine has another pool now
        for each in (pool, self.engine.pool):
            event.listen(each, "checkin", _close)
        pool.dispose()  # what came back between the lines above


def _show_times_in_utc(connection: psycopg.Connection, _: ConnectionPoolEntry) -> None:
    # Said once the connection is there: a server's, a database's, a role's and PGTZ's zone all go before an
    # option of the connection, and poolers in between refuse some of those.
    connection.pgconn.exec_(b"SET TIME ZONE 'UTC'")


def _close(_: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    record.invalidate()


def _info(sender: Sender | None) -> dict[Any, Any]:
    return {} if sender is None else {_SENDER: sender}
