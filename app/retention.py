"""What is deleted because its time is over: checkpoints, events and log lines of jobs that ended long ago.

Each project has days of its own, or those of the settings; 0 is for good. Models, reports, figures and the
metrics of epochs stay, and so do the events that make a job's history of statuses.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, delete, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.config import Settings
from app.db.models.checkpoint import Checkpoint
from app.db.models.job import Job
from app.db.models.job_event import JobEvent
from app.db.models.job_log import JobLog
from app.db.models.project import Project
from app.jobs.life import STATUS_EVENT, TERMINAL
from app.storage.blobs import BlobStore

_JOBS_AT_ONCE = 100


@dataclass(frozen=True)
class Swept:
    """What one sweep deleted."""

    checkpoints: int
    freed_bytes: int
    events: int
    log_lines: int

    def __bool__(self) -> bool:
        """Whether that was anything."""
        return bool(self.checkpoints or self.events or self.log_lines)


def sweep(session: Session, blobs: BlobStore, settings: Settings) -> Swept:
    """Delete what has expired, of at most 100 jobs at a time. The reaper's; several at once are harmless.

    The jobs' rows are held, so that none of them is tried again while its checkpoints go.
    """
    has_state = exists().where(Checkpoint.job_id == Job.id)
    jobs = session.execute(_expired("checkpoints_days", settings.retain_checkpoints_days, has_state))
    gone = delete(Checkpoint).where(Checkpoint.job_id.in_(jobs.scalars().all()))
    stored = session.execute(gone.returning(Checkpoint.blob_id)).scalars().all()
    freed = blobs.delete(session, *stored) if stored else 0

    old = (JobEvent.type != STATUS_EVENT, JobEvent.sequence < Job.last_sequence)
    has_words = exists().where(JobEvent.job_id == Job.id, *old) | exists().where(JobLog.job_id == Job.id)
    found = session.execute(_expired("events_days", settings.retain_events_days, has_words))
    ids = found.scalars().all()
    # The last event stays: whoever follows the job's events is told by it that there are no more.
    events = delete(JobEvent).where(JobEvent.job_id == Job.id, Job.id.in_(ids), *old)
    n_events = len(session.execute(events.returning(JobEvent.id)).all())
    lines = delete(JobLog).where(JobLog.job_id.in_(ids)).returning(JobLog.number)
    return Swept(len(stored), freed, n_events, len(session.execute(lines).all()))


def _expired(name: str, default: int, has_any: ColumnElement[bool]) -> Select[str]:
    """Ids of jobs that ended more days ago than that retention says, and still have what is to go; held."""
    kept: InstrumentedAttribute[dict[str, object]] = Project.retention
    days = func.coalesce(kept[name].as_integer(), default)
    return (
        select(Job.id)
        .join(Project, Project.id == Job.project_id)
        .where(
            Job.status.in_([status.value for status in TERMINAL]),
            days > 0,
            Job.ended_at < func.now() - func.make_interval(0, 0, 0, days),
            has_any,
        )
        .limit(_JOBS_AT_ONCE)
        .with_for_update(of=Job, skip_locked=True)
    )
