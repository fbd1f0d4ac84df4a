"""What has happened to a job: its events, its epochs, and where it stands."""

from __future__ import annotations

import re

from sqlalchemy.orm import Session

from app.db.ids import is_id
from app.db.models.job_event import JobEvent
from app.db.models.job_metric import JobMetric
from app.db.session import Reader
from app.errors import ErrorItem, NotFoundError, ValidationFailed
from app.jobs import queries, service
from app.jobs.life import TERMINAL, Status
from app.jobs.queries import Standing

_METRIC_KEY = re.compile(r"(\d{1,10})-([a-z_]{1,32}(?:_at_[0-9.e-]{1,24})?)-(\d{1,9})")
"""seed-arm-epoch; of a searched arm, at a share (`cascade_at_0.1`, `cascade_at_1e-05`)."""


def event_position(
    session: Session, project_id: str, job_id: str, after: str | None, *, where: str = "?after"
) -> int:
    """Number of the event that `after` names, by number or id; 0 for None. Errors point at `where`."""
    service.get(session, project_id, job_id)
    sequence: int | None = 0
    if after is not None and after.isdecimal() and after.isascii() and len(after) < 10:
        sequence = int(after)
    elif after is not None:
        sequence = queries.event_sequence(session, job_id, after) if is_id("evt", after) else None
    if sequence is None:
        raise _unknown_cursor(after, "an event's sequence number or id", where)
    return sequence


def events(
    session: Session, project_id: str, job_id: str, *, after: str | None, limit: int
) -> tuple[list[JobEvent], bool]:
    """The job's events after one of them (by number or id), oldest first, and whether more follow."""
    sequence = event_position(session, project_id, job_id, after)
    return queries.events_after(session, job_id, sequence, limit)


def events_and_end(
    session: Session, job_id: str, sequence: int, limit: int
) -> tuple[list[JobEvent], bool] | None:
    """The job's next events, and whether they are its last; None when the job is gone."""
    # first where the job stands, then what there is: the events then reach at least as far
    standing = queries.standing(session, job_id)
    if standing is None:
        return None
    rows, _ = queries.events_after(session, job_id, sequence, limit)
    reached = rows[-1].sequence if rows else sequence
    return rows, Status(standing.status) in TERMINAL and reached >= standing.last_sequence


def standing(reader: Reader, project_id: str, job_id: str) -> Standing:
    """What tells that a job has changed, in one query. NotFoundError when the project has no such job."""
    found = queries.standing(reader, job_id, project_id)
    if found is None:
        raise NotFoundError.of("job", job_id)
    return found


def metrics(
    session: Session, project_id: str, job_id: str, *, after: str | None, limit: int
) -> tuple[list[JobMetric], bool]:
    """The job's epochs in the order in which they ended, and whether more follow."""
    service.get(session, project_id, job_id)
    position: int | None = -1
    if after is not None:
        key = _METRIC_KEY.fullmatch(after)
        found = (int(key[1]), key[2], int(key[3])) if key else None
        position = queries.metric_position(session, job_id, found) if found else None
    if position is None:
        raise _unknown_cursor(after, "the id of one of this job's epochs")
    return queries.metrics_after(session, job_id, position, limit)


def _unknown_cursor(after: str | None, what: str, where: str = "?after") -> ValidationFailed:
    item = ErrorItem(where, "unknown_cursor", f"not {what}", after)
    return ValidationFailed(
        f"`{where.removeprefix('?').removeprefix('header:')}` must be {what}.",
        code="unknown_cursor",
        errors=[item],
        hint="Leave it out to begin at the first.",
    )
