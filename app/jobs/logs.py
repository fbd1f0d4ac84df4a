"""The kept lines of jobs' training processes: written by workers, read by clients."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.db.models.job import Job
from app.db.models.job_log import JobLog
from app.errors import ErrorItem, ValidationFailed
from app.jobs import service
from app.jobs.claims import Claim

KEPT_LINES = 5000
"""Of an attempt; the oldest go."""

_CURSOR = re.compile(r"(\d{1,9})-(\d{1,9})")


@dataclass(frozen=True)
class Line:
    """A line that a training process wrote; `number` counts from 1 within the attempt."""

    number: int
    at: datetime
    level: str | None
    text: str


@dataclass(frozen=True)
class LogPage:
    """Lines, oldest first; whether more follow; how many older ones of the shown attempts were dropped."""

    lines: Sequence[JobLog]
    has_more: bool
    dropped: int


def append(session: Session, claimed: Claim, lines: Sequence[Line]) -> None:
    """Keep lines of an attempt, also of one that is over; nothing happens when the job was deleted."""
    there = select(Job.id).where(Job.id == claimed.job_id).with_for_update(read=True, key_share=True)
    if not lines or session.execute(there).first() is None:
        return
    of_attempt = {"job_id": claimed.job_id, "attempt": claimed.attempt}
    session.execute(insert(JobLog).on_conflict_do_nothing(), [{**of_attempt, **vars(line)} for line in lines])
    session.execute(
        delete(JobLog).where(
            JobLog.job_id == claimed.job_id,
            JobLog.attempt == claimed.attempt,
            JobLog.number <= lines[-1].number - KEPT_LINES,
        )
    )


def page(
    session: Session,
    project_id: str,
    job_id: str,
    *,
    attempt: int | None,
    after: str | None,
    tail: int | None,
    limit: int | None,
) -> LogPage:
    """What a job's training processes said, attempt after attempt; with `tail` only the last lines.

    Raises:
        NotFoundError: The project has no such job.
        ValidationFailed: `after` is no line's id, or stands beside `tail`.

    """
    service.get(session, project_id, job_id)
    seen = _position(after, tail)
    of_job = [JobLog.job_id == job_id] + ([JobLog.attempt == attempt] if attempt is not None else [])
    place = (JobLog.attempt, JobLog.number)
    firsts = select(func.min(JobLog.number)).where(*of_job).group_by(JobLog.attempt)
    dropped = sum(first - 1 for first in session.execute(firsts).scalars())
    if tail is not None:
        newest = select(JobLog).where(*of_job).order_by(*(column.desc() for column in place)).limit(tail)
        return LogPage(list(reversed(session.execute(newest).scalars().all())), False, dropped)
    statement = select(JobLog).where(*of_job, tuple_(*place) > seen).order_by(*place)
    rows = session.execute(statement.limit(limit + 1 if limit is not None else None)).scalars().all()
    return LogPage(rows[:limit], limit is not None and len(rows) > limit, dropped)


def as_text(found: LogPage) -> str:
    """The lines for people: time, attempt, level, text; first of all how many are missing."""
    head = f"… {found.dropped:,} older lines were dropped\n" if found.dropped else ""
    return head + "".join(
        f"{row.at:%Y-%m-%dT%H:%M:%SZ} [{row.attempt}] {(row.level or '-').upper():<7} {row.text}\n"
        for row in found.lines
    )


def _position(after: str | None, tail: int | None) -> tuple[int, int]:
    if after is None:
        return (0, 0)
    match = _CURSOR.fullmatch(after)
    if match is None or tail is not None:
        what = "not the id of a line" if match is None else "not together with tail"
        item = ErrorItem("?after", "unknown_cursor", what, after)
        raise ValidationFailed(
            "`after` must be the id of a line, such as 1-57, and stand without `tail`.",
            code="unknown_cursor",
            errors=[item],
            hint="Leave it out to begin at the first.",
        )
    return int(match[1]), int(match[2])
