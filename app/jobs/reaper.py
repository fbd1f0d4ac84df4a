"""The reaper: `python -m app.jobs.reaper`. It alone moves jobs whose worker is gone, and wakes workers again.

Any number of reapers may run: rows are taken with SKIP LOCKED, and every move checks the row's state again.
Webhooks are sent by threads of this process.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

import app.db.tables  # noqa: F401 - foreign keys by name need every table
from app.accounts.answers import forget_old
from app.config import Settings, get_settings
from app.datasets.validation import recover_validating
from app.db.models.job import Job
from app.db.session import AWAY, Database, send_after_commit
from app.db.wake_ups import AT_ONCE, is_overdue
from app.evaluations.life import recover_evaluations
from app.jobs.absence import Absence
from app.jobs.claims import lose_attempt
from app.jobs.life import HELD, Status
from app.jobs.limits import fail_those_that_waited_too_long
from app.jobs.probes import tidy_probes
from app.jobs.workers import forget_gone
from app.log_lines import configure_logging
from app.models.batches import recover_batches
from app.queue import CeleryQueue, make_celery
from app.retention import sweep
from app.stop_signals import stop_event
from app.storage.blobs import BlobStore
from app.storage.database import DatabaseBlobStore
from app.task_names import RUN_JOB, TRAIN_QUEUE
from app.uploads.service import sweep_expired
from app.webhooks.deliverer import Deliverer
from app.webhooks.deliveries import forget_deliveries

logger = logging.getLogger(__name__)

T = TypeVar("T")

_SWEEP_SECONDS = 60.0
_LOST_HINT = "The worker died or lost its connection; its log, and that of its machine, say more."


def reap_once(session: Session, settings: Settings, *, spare: bool = False) -> None:
    """One look, in one transaction; what is queued here is sent after the caller's commit.

    spare: leave leases that ran out alone.
    """

    def part(work: Callable[..., T], *given: Settings) -> T | tuple[()]:
        # One whose statement always fails must not keep the others from their work.
        try:
            with session.begin_nested():
                return work(session, *given)
        except AWAY:
            raise
        except SQLAlchemyError:
            logger.exception("a part of the reaper's look failed")
            return ()

    expired: Sequence[str] = ()
    if not spare:
        expired = part(reap_expired)
        part(recover_validating, settings)
        part(recover_batches, settings)
        part(recover_evaluations, settings)
    late = part(fail_those_that_waited_too_long, settings)
    resent = part(resend_waiting, settings)
    part(forget_gone)
    part(forget_deliveries, settings)
    part(forget_old)
    part(tidy_probes)
    if expired or resent or late:
        logger.info("reaped %s, sent again %s, too late %s", list(expired), list(resent), list(late))


def reap_expired(session: Session) -> Sequence[str]:
    """Take the jobs whose lease ran out from workers that do not answer; returns the jobs' ids.

    Cancelled if that was asked for, failed (`worker_lost`) if no attempt is left, else queued again.
    """
    jobs = session.execute(
        select(Job)
        .where(Job.status.in_(HELD), Job.lease_until < func.clock_timestamp())
        .order_by(Job.lease_until)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    found = jobs.scalars().all()
    for job in found:
        message = f"The worker of attempt {job.attempt} was lost."
        lose_attempt(session, job, code="worker_lost", message=message, hint=_LOST_HINT)
    return [job.id for job in found]


def resend_waiting(session: Session, settings: Settings) -> Sequence[str]:
    """Send a wake-up again for the longest waiting jobs whose last one is old; returns the jobs' ids."""
    overdue = is_overdue(
        sent_at=Job.sent_at,
        waits_since=Job.queued_at,
        resend_after_seconds=settings.resend_after_seconds,
    )
    stale = (
        select(Job.id)
        .where(Job.status == Status.QUEUED, overdue)
        .order_by(Job.queued_at)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    ids = session.execute(stale).scalars().all()
    session.execute(
        update(Job).where(Job.id.in_(ids)).values(sent_at=func.clock_timestamp(), updated_at=Job.updated_at)
    )
    for job_id in ids:
        send_after_commit(session, RUN_JOB, job_id, queue=TRAIN_QUEUE)
    return ids


def run(settings: Settings, stopped: threading.Event) -> None:
    """Look every `reaper_seconds` until stopped; a database that is away is logged and tried again."""
    celery = make_celery(settings)
    connections = 2 + settings.webhook_concurrency
    database = Database(settings.database, sender=CeleryQueue(celery), pool_size=connections)
    blobs = DatabaseBlobStore(database.engine)
    deliverer = Deliverer(database, settings)
    deliverer.start()
    sweep_at = time.monotonic()
    absence = Absence(settings.lease_seconds)
    try:
        while not stopped.is_set():
            began = time.time()
            if look(database, blobs, settings, spare=absence.spares(began)):
                absence.seen(began)
            if time.monotonic() >= sweep_at:
                sweep_at = time.monotonic() + _SWEEP_SECONDS
                sweep_retained(database, blobs, settings)
            stopped.wait(settings.reaper_seconds)
    finally:
        deliverer.stop()
        database.dispose()
        celery.close()


def look(database: Database, blobs: BlobStore, settings: Settings, *, spare: bool = False) -> bool:
    """One look and one sweep of abandoned uploads; a database that is away is logged, not raised.

    Returns whether it went well.
    """
    try:
        with database.unit_of_work() as session:
            reap_once(session, settings, spare=spare)
        swept = blobs.sweep(timedelta(seconds=settings.abandoned_upload_seconds))
        if swept:
            logger.info("swept %d abandoned blobs", swept)
        with database.unit_of_work() as session:
            freed = sweep_expired(session, blobs, settings)
        if freed:
            logger.info("uploads in parts whose time was over left %d bytes", freed)
    except AWAY as error:
        logger.warning("the reaper could not look: %s", error)
        return False
    except SQLAlchemyError:
        logger.exception("the reaper could not look")
        return False
    return True


def sweep_retained(database: Database, blobs: BlobStore, settings: Settings) -> None:
    """Delete what is kept for so many days only; errors of the database are logged, not raised."""
    try:
        with database.unit_of_work() as session:
            swept = sweep(session, blobs, settings)
        if swept:
            logger.info("expired: %s", swept)
    except AWAY as error:
        logger.warning("the reaper could not sweep: %s", error)
    except SQLAlchemyError:
        logger.exception("the reaper could not sweep")


def main() -> None:
    """Reap until SIGTERM or SIGINT."""
    settings = get_settings()
    configure_logging(settings)
    stopped = stop_event()
    logger.info("the reaper looks every %.1f s", settings.reaper_seconds)
    run(settings, stopped)


if __name__ == "__main__":
    main()
