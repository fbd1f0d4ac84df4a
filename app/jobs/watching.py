"""Waiting for a job, and following its events: async sleeps, and between them one short query in a thread.

So a waiter holds no thread and no connection, and any number of API processes may be asked. Both read the
rows that the list of events shows.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import anyio
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.conditions import etag_of
from app.db.models.job_event import JobEvent
from app.db.session import Database
from app.errors import NotFoundError
from app.jobs import history, service
from app.jobs.life import TERMINAL, Status
from app.jobs.queries import Standing
from app.jobs.record_schemas import EventObject

LONGEST_WAIT_SECONDS = 60
LOOK_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0

_RECONNECT_MILLISECONDS = 2000
_BATCH = 100
_PREFERRED_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\d{1,6})(?=$|[,;\s])", re.IGNORECASE)


@dataclass(frozen=True)
class Seen:
    """A job as it was shown: its JSON, the ETag of that, and where the job stood."""

    body: bytes
    etag: str
    standing: Standing

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return Status(self.standing.status) in TERMINAL


def look(database: Database, project_id: str, job_id: str) -> Seen:
    """The job now. NotFoundError when the project has none with that id."""
    with database.reading() as reader:
        job, standing = service.shown(reader, project_id, job_id)
    body = job.model_dump_json().encode()
    return Seen(body, etag_of(body), standing)


def preferred_wait(prefer: str | None) -> int | None:
    """The seconds of `Prefer: wait=…` (RFC 7240), at most LONGEST_WAIT_SECONDS."""
    found = _PREFERRED_WAIT.search(prefer or "")
    return min(int(found[1]), LONGEST_WAIT_SECONDS) if found else None


async def wait_for_change(
    request: Request,
    database: Database,
    project_id: str,
    seen: Seen,
    *,
    job_id: str,
    seconds: float,
    any: bool,
) -> Seen:
    """The job as soon as it is another than `seen`, or after that many seconds.

    Args:
        request: Whose client may leave.
        database: Where the job is.
        project_id: Whose the job is.
        seen: As it was shown; an ended job is not waited for.
        job_id: The job.
        seconds: How long at most.
        any: Whether a step of progress counts; else only a new event does.

    """
    deadline = time.monotonic() + seconds
    while not seen.ended and (left := deadline - time.monotonic()) > 0:
        await anyio.sleep(min(LOOK_SECONDS, left))
        if await request.is_disconnected():
            return seen
        now = await run_in_threadpool(_standing, database, project_id, job_id)
        if now.last_sequence != seen.standing.last_sequence or (any and now != seen.standing):
            break
    return seen if seen.ended else await run_in_threadpool(look, database, project_id, job_id)


def _standing(database: Database, project_id: str, job_id: str) -> Standing:
    with database.reading() as reader:
        return history.standing(reader, project_id, job_id)


@dataclass(frozen=True)
class Batch:
    """The next events, as they are sent."""

    lines: bytes
    sequence: int
    full: bool
    last: bool


def next_events(database: Database, job_id: str, sequence: int) -> Batch:
    """The events after number `sequence`, at most a hundred. NotFoundError when the job was deleted."""
    with database.unit_of_work() as session:
        found = history.events_and_end(session, job_id, sequence, _BATCH)
        if found is None:
            raise NotFoundError.of("job", job_id)
        rows, last = found
        lines = b"".join(map(_as_sent, rows))
    return Batch(lines, rows[-1].sequence if rows else sequence, len(rows) == _BATCH, last)


def _as_sent(row: JobEvent) -> bytes:
    data = EventObject.of(row).model_dump_json()
    return f"id: {row.sequence}\nevent: {row.type}\ndata: {data}\n\n".encode()


async def begin_stream(
    database: Database, project_id: str, job_id: str, last_event_id: str | None, after: str | None
) -> tuple[int, bool]:
    """Where a stream begins, and whether there is nothing left to tell. Raises what the list raises."""

    def find() -> tuple[int, bool]:
        given, where = (last_event_id, "header:last-event-id") if last_event_id else (after, "?after")
        with database.unit_of_work() as session:
            sequence = history.event_position(session, project_id, job_id, given, where=where)
        batch = next_events(database, job_id, sequence)
        return sequence, batch.last and not batch.lines

    return await run_in_threadpool(find)


async def stream_events(database: Database, job_id: str, sequence: int) -> AsyncIterator[bytes]:
    """Server-sent events after number `sequence`, until the job's last one was sent or the job is deleted."""
    yield f"retry: {_RECONNECT_MILLISECONDS}\n\n".encode()
    told_at = time.monotonic()
    while True:
        try:
            batch = await run_in_threadpool(partial(next_events, database, job_id, sequence))
        except NotFoundError:
            return
        if batch.lines:
            yield batch.lines
            sequence, told_at = batch.sequence, time.monotonic()
        elif time.monotonic() - told_at >= HEARTBEAT_SECONDS:
            yield b": nothing new\n\n"
            told_at = time.monotonic()
        if batch.last:
            return
        if not batch.full:
            await anyio.sleep(LOOK_SECONDS)
