"""The API's speed and memory, as ratios in one run: `python -m benchmarks api [--seconds 3] [--output FILE]`.

A real Postgres and broker in a temporary folder, one API process. It serves the application with two routes
more: `/v1/empty`, which does nothing behind the same middleware, and `/v1/file`, which sends a file. Every
figure is set against one of them, or against the same request with fewer rows, in turns within the run. The
load generator is a process of its own, on plain sockets. Before its peak memory is read, the API process has
also made the OpenAPI page, taken the file in parts, four at a time, and recommended, which loads numpy.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from app.accounts.service import create_key
from app.config import Settings
from app.db.models.job import Job
from app.db.session import Database
from app.embedded.processes import ProcessSpec, start, stop
from app.jobs import steering, submitting
from app.jobs.request_schemas import JobCreate
from app.queue import CeleryQueue, make_celery
from app.sdk.client import SteadyRank
from benchmarks.load import as_fast_as_possible, at_a_rate, download
from benchmarks.own_process import in_own_process
from benchmarks.tables import markdown_table, write_json
from benchmarks.uploads import MB, Service, peak_megabytes_of, service_in, write_log

RATE = 200.0
FEW, MANY = 100, 100_000
IMPORT_TORCH = "import torch"
SPEC = {"arms": ["standard"], "epochs": 20, "warmup_epochs": 0, "max_length": 20, "hidden_size": 16}


def in_turns(
    measure: Callable[..., dict[str, Any]], urls: dict[str, str], *arguments: Any, rounds: int
) -> dict[str, list[dict[str, Any]]]:
    """What each round of `measure(url, …)` returned, each in a fresh process, one address after the other."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in urls}
    for _ in range(rounds):
        for name, url in urls.items():
            found[name].append(in_own_process(measure, url, *arguments))
    return found


def median_of(rounds: list[dict[str, Any]]) -> float:
    """Median latency over all rounds, in milliseconds."""
    return 1000 * statistics.median(value for one in rounds for value in one["latencies"])


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


def first_step(client: SteadyRank, dataset_id: str) -> float:
    """Seconds from the request that submits a job to the first sight of a step of its training."""
    began = time.perf_counter()
    job = client.jobs.create(dataset_id, **SPEC)
    while not (job.progress.step or job.status in {"succeeded", "failed"}):
        time.sleep(0.02)
        job = client.jobs.get(job.id)
    seconds = time.perf_counter() - began
    if job.status == "failed":
        raise RuntimeError(f"the job failed: {job.error}")
    client.jobs.wait(job.id)
    return seconds


def import_seconds() -> float:
    """Seconds of a fresh interpreter that imports torch and ends."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORT_TORCH], check=True)
    return time.perf_counter() - began


def use_the_rest(client: SteadyRank, url: str, file: Path) -> None:
    """Ask for what takes most memory: the OpenAPI page, a file in parts, and numpy for a recommendation."""
    httpx.get(f"{url}/openapi.json", timeout=600.0).raise_for_status()
    client.datasets.upload(file, wait=False, parts_above=0, threads=4)
    client.models.recommend(next(client.models.list()), [["i1", "i2"]])


def resident_megabytes_of(process_id: int) -> float:
    """Resident size of a process now, in MiB, as Linux counts it."""
    status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def lives(service: Service, project: str, count: int) -> tuple[str, str]:
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


def measure(seconds: float, megabytes: int, rounds: int, many: int) -> dict[str, Any]:
    """All figures, by name."""
    with tempfile.TemporaryDirectory(prefix="sr-") as name:
        folder = Path(name)
        file = folder / "file.bin"
        write_log(file, megabytes)
        with service_in(folder, 2 * file.stat().st_size, "benchmarks.api_application:create_app") as service:
            url = service.connection.base_url
            at_start = resident_megabytes_of(service.process_id)
            spec = worker_of(service, folder)
            worker = start(spec)
            try:
                few_job, few_key = lives(service, "few", FEW)
                with SteadyRank(url, few_key) as client:
                    dataset = next(iter(client.datasets.list())).id
                    first_step(client, dataset)  # the first run of all reads the files from disk
                    steps = [(first_step(client, dataset), import_seconds()) for _ in range(rounds)]
                _, many_key = lives(service, "many", many)
            finally:
                stop([(spec, worker)])
            with SteadyRank(url, few_key, timeout=600.0) as client:
                blob = client.datasets.upload(file, wait=False, parts_above=sys.maxsize).id
            both = {"job": f"{url}/v1/jobs/{few_job}", "empty": f"{url}/v1/empty"}
            steady = in_turns(at_a_rate, both, few_key, RATE, seconds, rounds=rounds)
            fast = in_turns(as_fast_as_possible, both, few_key, 8, seconds, rounds=rounds)
            lists = {
                name: in_turns(
                    as_fast_as_possible, {name: f"{url}/v1/jobs?limit=20"}, key, 1, seconds, rounds=rounds
                )
                for name, key in (("few", few_key), ("many", many_key))
            }
            bytes_of = {"blob": f"{url}/v1/datasets/{blob}/content", "file": f"{url}/v1/file"}
            downloads = in_turns(download, bytes_of, few_key, rounds=rounds)
            with SteadyRank(url, few_key, timeout=600.0) as client:
                use_the_rest(client, url, file)
            resident = {
                "at start": at_start,
                "after load": resident_megabytes_of(service.process_id),
                "peak": peak_megabytes_of(service.process_id),
            }
    rates = {name: statistics.median(one["per_second"] for one in found) for name, found in fast.items()}
    pages = {
        name: statistics.median(one["per_second"] for one in found[name]) for name, found in lists.items()
    }
    ways = {
        name: statistics.median(one["bytes"] / MB / one["seconds"] for one in found)
        for name, found in downloads.items()
    }
    return {
        "latency_milliseconds": {name: median_of(found) for name, found in steady.items()},
        "answers_per_second": rates,
        "lists_per_second": pages,
        "many": many,
        "megabytes_per_second": ways,
        "first_step_seconds": statistics.median(step for step, _ in steps),
        "import_torch_seconds": statistics.median(torch for _, torch in steps),
        "resident_megabytes": resident,
    }


def rows_of(figures: dict[str, Any]) -> list[list[str]]:
    """A row for each target: what, its figure, what it is set against, the ratio, the target."""
    latency, rates = figures["latency_milliseconds"], figures["answers_per_second"]
    pages, ways, resident = (
        figures[name] for name in ("lists_per_second", "megabytes_per_second", "resident_megabytes")
    )
    first, torch = figures["first_step_seconds"], figures["import_torch_seconds"]

    def row(what: str, unit: str, figure: float, other: float, target: str) -> list[str]:
        return [what, f"{figure:.3g} {unit}", f"{other:.3g} {unit}", f"{figure / other:.2f}", target]

    return [
        row(f"job GET at {RATE:.0f} a second, median", "ms", latency["job"], latency["empty"], "< 4"),
        row("job GET, 8 connections", "/s", rates["job"], rates["empty"], "≥ 0.25"),
        row(
            f"list of 20 from {figures['many']:,} jobs (from {FEW})",
            "ms",
            1000 / pages["many"],
            1000 / pages["few"],
            "< 2",
        ),
        row("submit to first training step (import torch)", "s", first, torch, "< 2"),
        row("download from Postgres (of a file)", "MB/s", ways["blob"], ways["file"], "≥ 0.5"),
        *[[f"resident, {when}", f"{size:.0f} MiB", "", "", "< 150 MB"] for when, size in resident.items()],
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks api", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round of requests")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=128, help="of the file that is downloaded")
    parser.add_argument("--jobs", type=int, default=MANY, help="rows of the long list")
    parser.add_argument("--output", type=Path, help="write the figures there as JSON")
    given = parser.parse_args(arguments)
    figures = measure(given.seconds, given.megabytes, given.rounds, given.jobs)
    print(markdown_table(("what", "figure", "against", "ratio", "target"), rows_of(figures)))
    write_json(given.output, figures)


if __name__ == "__main__":
    main()
