"""The training library's port for progress, over the database: that of one attempt.

Every write is in a transaction that first locks the job's row by (id, attempt): once the lease is another
worker's, `LeaseLost` ends this run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db.models.job import Job
from app.db.models.job_metric import JobMetric
from app.db.session import Database
from app.jobs.claims import Claim, hold
from app.jobs.life import Level, record
from worker.durably import durably
from worker.training.progress import Control, EpochMetrics, Phase, StepProgress

logger = logging.getLogger(__name__)

WARNINGS = frozenset(
    {
        *("nothing_learnt", "below_markov", "checkpoint_unreadable", "saturated_users", "ended_early"),
        *("max_runtime", "not_run", "not_attacked", "epochs_limit", "never_perturbed"),
        *("warm_started", "few_items_known", "no_share_accurate"),
        *("search_cut_short", "share_diverged", "begun_anew"),
    }
)

_WRITE_SECONDS = 0.5


class JobProgress:
    """Progress of one attempt: rows for epochs and events, a JSON for where it is, and a beat for the parent.

    Args:
        database: Where the rows are.
        claimed: The attempt; every write is conditional on it.
        beat: Called whenever training has moved.
        control: What is wanted of the run; must be cheap.

    """

    def __init__(
        self, database: Database, claimed: Claim, *, beat: Callable[[], None], control: Callable[[], Control]
    ) -> None:
        self._database = database
        self._claimed = claimed
        self._beat = beat
        self._control = control
        self._written_at = 0.0
        self._began: tuple[float, float] | None = None
        self._told: tuple[str, str | None, int | None] | None = None

    def phase(self, phase: Phase, *, arm: str | None = None, seed: int | None = None) -> None:
        """Show the phase, and keep an event of its begin."""
        self._beat()

        def write(session: Session) -> None:
            job = hold(session, self._claimed)
            if (job.phase, job.arm, job.seed) != (phase, arm, seed):
                job.phase, job.arm, job.seed = phase, arm, seed
                data = {"phase": phase, "arm": arm, "seed": seed, "attempt": self._claimed.attempt}
                record(session, job, "job.phase", f"Phase {phase}{_of(arm, seed)}.", data)

        durably(self._database, write)
        if (phase, arm, seed) != self._told:
            self._told = (phase, arm, seed)
            logger.info("phase %s%s", phase, _of(arm, seed))

    def step(self, at: StepProgress) -> Control:
        """Show where the run is, at most twice a second, and say what is wanted of it."""
        self._beat()
        now = time.monotonic()
        if now - self._written_at >= _WRITE_SECONDS:
            self._written_at = now
            try:
                with self._database.unit_of_work() as session:
                    self._show(hold(session, self._claimed), at, now)
            except OperationalError as error:  # the next step shows more than this one would have
                logger.warning("progress not written: %s", error)
        return self._control()

    def epoch(self, metrics: EpochMetrics) -> None:
        """Keep the epoch's row; an epoch that an earlier attempt had begun or ended replaces its own."""
        self._beat()
        values = vars(metrics) | {"job_id": self._claimed.job_id, "attempt": self._claimed.attempt}
        key = ("job_id", "seed", "arm", "epoch")
        statement = insert(JobMetric).values(**values)
        updated = {name: statement.excluded[name] for name in values if name not in key}

        def write(session: Session) -> None:
            hold(session, self._claimed)
            session.execute(statement.on_conflict_do_update(index_elements=key, set_=updated))

        durably(self._database, write)
        logger.info(
            "arm %s, seed %d: epoch %d in %.2f s, loss %.4f%s",
            metrics.arm,
            metrics.seed,
            metrics.epoch,
            metrics.seconds,
            metrics.loss,
            f", validation NDCG@10 {metrics.validation['ndcg@10']:.4f}" if metrics.validation else "",
        )

    def begin_anew(self, why: str) -> None:
        """Forget the epochs of earlier attempts, and keep an event that says why."""

        def write(session: Session) -> None:
            hold(session, self._claimed)
            session.execute(delete(JobMetric).where(JobMetric.job_id == self._claimed.job_id))

        durably(self._database, write)
        self.event("begun_anew", why)

    def event(self, type: str, message: str, data: dict[str, Any] | None = None) -> None:
        """Keep an event, as `training.<type>`."""
        self._beat()

        def write(session: Session) -> None:
            job = hold(session, self._claimed)
            level: Level = "warning" if type in WARNINGS else "info"
            record(session, job, f"training.{type}", message, data, level=level)

        durably(self._database, write)
        logger.log(logging.WARNING if type in WARNINGS else logging.INFO, "%s: %s", type, message)

    def _show(self, job: Job, at: StepProgress, now: float) -> None:
        if self._began is None:
            self._began = (now, at.fraction)
        began, from_fraction = self._began
        done = at.fraction - from_fraction
        left = (now - began) * (1.0 - at.fraction) / done if done > 0.0 else None
        eta = None if left is None else (datetime.now(UTC) + timedelta(seconds=left)).isoformat()
        job.progress = {
            "fraction": at.fraction,
            "arm": at.arm,
            "seed": at.seed,
            "epoch": at.epoch,
            "epochs": at.epochs,
            "step": at.step,
            "total_steps": at.total_steps,
            "examples_per_second": at.targets_per_second,
            "eta_at": eta,
        }


def _of(arm: str | None, seed: int | None) -> str:
    """What a phase is about; the baselines are no arm and have no seed."""
    if arm is None:
        return ""
    return f", {arm}" if seed is None else f", arm {arm}, seed {seed}"
