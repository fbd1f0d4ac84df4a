"""Real worker processes over a real database and broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sqlalchemy import select

from app.config import Settings
from app.db.models.checkpoint import Checkpoint
from app.db.models.job import Job
from app.db.session import Database
from app.queue import CeleryQueue, make_celery
from app.storage.database import DatabaseBlobStore
from tests.factories import make_job, make_ready_dataset
from tests.waiting import wait_until
from worker.child_process import as_environment

ROOT = Path(__file__).resolve().parents[2]
SHORT_SPEC = {
    "epochs": 2,
    "warmup_epochs": 1,
    "arms": ["cascade"],
    "hidden_size": 8,
    "max_length": 8,
    "attack_positions": ["end"],
    "attack_replacements": ["uniform"],
}
"""One arm, trained and attacked in a second."""


def interactions(users: int = 80, items: int = 40, length: int = 8, seed: int = 7) -> pl.DataFrame:
    """A Markov log: the next item is most often the one after the last."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        item = int(random.integers(items))
        for step in range(length):
            rows.append((f"u{user}", f"i{item}", 1_700_000_000_000_000 + user * 1000 + step))
            item = (item + 1) % items if random.random() < 0.8 else int(random.integers(items))
    frame = pl.DataFrame(rows, schema=["user", "item", "timestamp"], orient="row")
    return frame.with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")))


class Workshop:
    """A database, a broker, and the processes that a test starts over them."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.celery = make_celery(settings)
        self.database = Database(settings.database, sender=CeleryQueue(self.celery))
        self.blobs = DatabaseBlobStore(self.database.engine)
        self.processes: list[subprocess.Popen[bytes]] = []

    def submit(self, **spec: object) -> str:
        parquet = BytesIO()
        interactions().write_parquet(parquet)
        with self.database.unit_of_work() as session:
            dataset = make_ready_dataset(session, self.blobs, canonical=parquet.getvalue())
            return make_job(session, dataset, **spec).id

    def start(self, *command: str, name: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env={
                    **os.environ,
                    **as_environment(self.settings),
                    "REMAP_SIGTERM": "SIGQUIT",
                    "TMPDIR": str(self.temporary),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def worker(self, name: str) -> subprocess.Popen[bytes]:
        queue = ("-Q", "train", "-n", f"{name}@test", "--without-gossip", "--without-mingle")
        return self.start("celery", "-A", "worker.celery_app", "worker", *queue, name=name)

    def reaper(self) -> subprocess.Popen[bytes]:
        return self.start("app.jobs.reaper", name="reaper")

    def job(self, job_id: str) -> Job:
        with self.database.unit_of_work() as session:
            return session.execute(select(Job).where(Job.id == job_id)).scalar_one()

    def checkpoints(self, job_id: str) -> int:
        with self.database.unit_of_work() as session:
            found = session.execute(select(Checkpoint.step).where(Checkpoint.job_id == job_id))
            return len(found.scalars().all())

    def wait(self, reached: Callable[[], object], seconds: float = 120.0) -> None:
        try:
            wait_until(reached, seconds)
        except AssertionError as error:
            error.add_note(self.logs("The processes said:"))
            raise

    def left_behind(self) -> list[str]:
        """Names of what the processes have in the folder for temporary files."""
        return sorted(path.name for path in self.temporary.iterdir())

    def logs(self, why: str) -> str:
        """A failed test's last lines of every process."""
        return "\n".join([why, *(path.read_text()[-4000:] for path in self.folder.glob("*.log"))])

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
        self.database.dispose()
        self.celery.close()


def trainers_of(job_id: str) -> list[int]:
    """Numbers of the living training processes of a job."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"worker.child" in words and job_id.encode() in words:
                found.append(int(entry.name))
    return found


@pytest.fixture
def workshop(database_url: str, broker_url: str, tmp_path: Path) -> Iterator[Workshop]:
    settings = Settings(
        database_url=database_url,
        redis_url=broker_url,
        reaper_seconds=0.2,
        resend_after_seconds=1.0,
        cancel_grace_seconds=60.0,  # on a busy machine, obeying takes a while
        shutdown_grace_seconds=60.0,
        device="cpu",
        threads=1,
        log_format="text",
    )
    with ExitStack() as stack:
        workshop = Workshop(settings, tmp_path)
        stack.callback(workshop.close)
        yield workshop
