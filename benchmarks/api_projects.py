"""Projects full of jobs, for the API's benchmark, and the worker that reads their data set."""

from __future__ import annotations

import sys
from pathlib import Path

from sqlalchemy import text

from app.accounts.service import create_key
from app.config import Settings
from app.db.models.job import Job
from app.db.session import Database
from app.embedded.processes import ProcessSpec
from app.jobs import steering, submitting
from app.jobs.request_schemas import JobCreate
from app.queue import CeleryQueue, make_celery
from app.sdk.client import SteadyRank
from benchmarks.uploads import Service


def fill_project(service: Service, project: str, count: int) -> tuple[str, str]:
    """Fill a project with so many jobs; returns one of them and the project's key."""
    settings = Settings(
        database_url=service.environment["DATABASE_URL"], redis_url=service.environment["REDIS_URL"]
    )
    celery = make_celery(settings)
    database = Database(settings.database, sender=CeleryQueue(celery))
    with database.unit_of_work() as session:
        row, key = create_key(session, name="benchmark", project=project)
        project_id = row.project_id
    with SteadyRank(service.connection.base_url, key) as client:
        dataset = client.datasets.list()
        ready = next(iter(dataset), None) or client.datasets.upload(_log(service), wait=True)
    template = ended_job(database, settings, ready.id, project_id)
    many_jobs(database, template, count)
    database.dispose()
    celery.close()
    return template, key


def _log(service: Service) -> Path:
    path = Path(service.environment["STEADYRANK_DATA_DIR"]) / "small.csv"
    rows = [
        f"u{user},i{(user * 7 + step) % 60},{1_700_000_000 + step}"
        for user in range(200)
        for step in range(8)
    ]
    path.write_text("user_id,item_id,timestamp\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def worker_of(service: Service, folder: Path) -> ProcessSpec:
    """One worker of both queues."""
    return ProcessSpec(
        name="worker",
        command=(*(sys.executable, "-m", "celery", "-A", "worker.celery_app", "worker"), "--without-mingle"),
        log=folder / "worker.log",
        folder=Path.cwd(),
        environment={**service.environment, "STEADYRANK_THREADS": "1", "STEADYRANK_DEVICE": "cpu"},
    )


def many_jobs(database: Database, template: str, count: int) -> None:
    """Copy an ended job `count` - 1 times, with its events; an id's last ten characters become a number."""
    named = [f'"{column.name}"' for column in Job.__table__.columns if column.name != "id"]
    of_event = ("sequence", "type", "level", "message", "data", "created_at")
    copies = (
        ("jobs (id", "overlay(id PLACING {n} FROM 21)", named, "id"),
        (
            "job_events (id, job_id",
            "overlay(id PLACING {n} FROM 21), overlay(job_id PLACING {n} FROM 21)",
            of_event,
            "job_id",
        ),
    )
    with database.engine.begin() as connection:
        for table, ids, columns, key in copies:
            rest = ", ".join(columns)
            ids_of = ids.replace("{n}", "lpad(n::text, 10, '0')")
            statement = (
                f"INSERT INTO {table}, {rest}) SELECT {ids_of}, {rest}"  # noqa: S608 - names of this module
                f" FROM {table.split(maxsplit=1)[0]}, generate_series(1, :count) AS n WHERE {key} = :template"
            )
            connection.execute(text(statement), {"template": template, "count": count - 1})
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def ended_job(database: Database, settings: Settings, dataset_id: str, project_id: str) -> str:
    """A job of that data set that was cancelled before it began."""
    with database.unit_of_work() as session:
        job = submitting.create(
            session, settings, project_id, JobCreate(dataset=dataset_id, name="one of many")
        )
        steering.cancel(session, project_id, job.id)
        return job.id
