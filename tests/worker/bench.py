"""Attempts at jobs, made in this process with a real training process, and what came of them."""

from __future__ import annotations

import threading
from io import BytesIO
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import undefer

from app.config import Settings
from app.db.models.checkpoint import Checkpoint
from app.db.models.job import Job
from app.db.models.job_attempt import JobAttempt
from tests.e2e.conftest import interactions
from tests.factories import RecordingSender, make_job, make_ready_dataset
from worker.resources import Resources, open_resources
from worker.runner import run_job

SPEC: dict[str, Any] = {
    "epochs": 2,
    "warmup_epochs": 1,
    "arms": ["standard"],
    "batch_size": 64,
    "max_length": 8,
    "hidden_size": 8,
    "attack_counts": [1],
    "attack_positions": ["end"],
    "attack_repeats": 1,
}


class Bench:
    """A database, and attempts made in this process."""

    def __init__(self, database_url: str) -> None:
        self.settings = Settings(
            database_url=database_url, redis_url="redis://127.0.0.1:1/0", device="cpu", log_format="text"
        )
        self.opened: list[Resources] = []

    def resources(self, **settings: Any) -> Resources:
        given = self.settings.model_dump(include=self.settings.model_fields_set)
        opened = open_resources(Settings(**{**given, **settings}))
        self.opened.append(opened)
        return opened

    def submit(self, resources: Resources, **given: Any) -> str:
        parquet = BytesIO()
        interactions(users=60, items=20, length=6).write_parquet(parquet)
        resources.database.sessions.configure(info={"steadyrank.sender": RecordingSender()})
        with resources.database.unit_of_work() as session:
            dataset = make_ready_dataset(session, resources.blobs, canonical=parquet.getvalue())
            return make_job(session, dataset, **{**SPEC, **given}).id


def run(resources: Resources, job_id: str, stopping: threading.Event | None = None) -> None:
    run_job(job_id, resources=resources, worker="w@host", stopping=stopping or threading.Event())


def found(resources: Resources, job_id: str) -> Job:
    with resources.database.unit_of_work() as session:
        statement = select(Job).where(Job.id == job_id).options(undefer(Job.report))
        return session.execute(statement).scalar_one()


def attempts(resources: Resources) -> list[str]:
    with resources.database.unit_of_work() as session:
        return list(session.execute(select(JobAttempt.outcome).order_by(JobAttempt.attempt)).scalars())


def kinds_of_checkpoints(resources: Resources) -> set[str]:
    with resources.database.unit_of_work() as session:
        return set(session.execute(select(Checkpoint.kind)).scalars())
