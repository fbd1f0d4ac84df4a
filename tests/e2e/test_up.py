"""`steadyrank up` as a user runs it: real processes, real signals."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from app.sdk.client import SteadyRank
from tests.factories import CSV
from tests.processes import processes_in
from tests.waiting import wait_until

# several starts of the service: seconds on an idle machine, minutes on a busy one
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

COMMAND = str(Path(sys.executable).with_name("steadyrank"))
START_SECONDS = 130.0


@pytest.fixture
def data() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="sr-")) / "data"
    yield folder
    shutil.rmtree(folder.parent)


def environment() -> dict[str, str]:
    ours = ("STEADYRANK_", "DATABASE_URL", "REDIS_URL", "TEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def up(data: Path, *more: str, port: str = "0") -> list[str]:
    return [COMMAND, "up", "--data-dir", str(data), "--port", port, *more]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)


@contextmanager
def service(data: Path, *more: str, **variables: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A running service and its address; whatever happens, nothing of it is left."""
    output = data.parent / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            up(data, *more), stdout=file, stderr=subprocess.STDOUT, env={**environment(), **variables}
        )
    try:

        def started() -> bool:
            assert process.poll() is None, output.read_text()
            try:
                return (data / "url").read_text() in output.read_text()
            except FileNotFoundError:  # not yet there, or a killed run's that was just taken away
                return False

        wait_until(started, START_SECONDS)
        yield process, (data / "url").read_text().strip()
        if process.poll() is None:
            process.terminate()
            assert process.wait(60) == 0, output.read_text()
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()
            wait_until(lambda: not processes_in(data))


def status(url: str, key: str | None = None) -> int | None:
    """Status of a GET; None when nobody answers."""
    try:
        return httpx.get(
            url, headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=10
        ).status_code
    except httpx.TransportError:
        return None


def test_it_starts_answers_survives_every_kill_and_stops_without_a_trace(data: Path) -> None:
    with service(data) as (process, url):
        key = (data / "api-key").read_text().strip()
        assert (data / "api-key").stat().st_mode & 0o777 == 0o600
        assert data.stat().st_mode & 0o777 == 0o700
        assert status(f"{url}/v1/datasets") == 401
        assert status(f"{url}/v1/datasets", key) == 200

        second = run(up(data))
        assert second.returncode == 3
        assert f"already running at {url} " in second.stdout

        elsewhere = run(up(data.parent / "other", port=url.rsplit(":", 1)[1]))
        assert elsewhere.returncode == 1
        assert re.search(r"port \d+: Address already in use.*\n.*--port", elsewhere.stdout)

        if sys.platform == "linux":
            kill_and_see_them_return(data, url, a_running_job(data, url, key))
        # a power cut: nobody has the time to tidy up
        for pid in (process.pid, *processes_in(data)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
    # and the disk kept less of the broker's file than it had said; its messages are only wake-ups
    (appended,) = (data / "valkey" / "appendonlydir").glob("*.incr.aof")
    appended.write_bytes(bytes(4096))

    with service(data, "--workers", "0") as (process, url):
        assert "put aside" in (data / "logs" / "up.log").read_text()
        assert (data / "valkey.broken").exists()
        assert status(f"{url}/v1/datasets", key) == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert processes_in(data) == {}
        assert not (data / "url").exists()
    assert "database system is shut down" in (data / "logs" / "postgres.log").read_text()


def a_running_job(data: Path, url: str, key: str) -> str:
    """The id of a job that a worker of the service has, and that does not end."""
    log = data.parent / "log.csv"
    log.write_bytes(CSV)
    endless = {"epochs": 10_000, "min_epochs": 10_000, "warmup_epochs": 0, "arms": ["standard"]}
    with SteadyRank(url, key) as client:
        job = client.jobs.create(client.datasets.upload(log, wait=True).id, **endless).id
        wait_until(lambda: client.jobs.get(job).status == "running")
    return job


def kill_and_see_them_return(data: Path, url: str, job: str) -> None:
    """Every process is there; those that are killed start again, and the worker's job waits for no lease."""
    commands = processes_in(data)
    names = ("uvicorn", "-Q train", "-Q light", "-Q measure", "app.jobs.reaper", "valkey-server", "postgres")
    assert all(any(name in line for line in commands.values()) for name in names), commands
    for program in ("uvicorn", "-Q train"):
        os.kill(next(pid for pid, line in commands.items() if program in line), signal.SIGKILL)
    log = data / "logs" / "up.log"
    wait_until(lambda: log.read_text().count("started again") == 2)
    wait_until(lambda: status(f"{url}/readyz") == 200)
    assert log.read_text().count(" ended (") == 2
    assert f"train1 had {job}: queued again by the reaper" in log.read_text()


def test_with_addresses_given_it_starts_no_servers(data: Path, database_url: str, broker_url: str) -> None:
    given = {"DATABASE_URL": database_url, "REDIS_URL": broker_url}
    with service(data, "--workers", "0", **given) as (process, url):
        assert status(f"{url}/v1/datasets", (data / "api-key").read_text().strip()) == 200
        assert not (data / "postgres").exists()
        assert not (data / "valkey").exists()
        if sys.platform == "linux":
            process.kill()
            wait_until(lambda: not processes_in(data))  # the kernel takes its children along
