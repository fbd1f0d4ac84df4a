"""The process table of the service: what runs beside Postgres and Valkey."""

from __future__ import annotations

import json
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from app.embedded.processes import ProcessSpec

POSTGRES, VALKEY, REAPER, WORKER, API = range(5)
API_MEMORY = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "131072"}
"""The C library keeps freed memory back: for each thread, and the API's are many and idle; and, once one of
them was freed, among the pieces of an upload, which are of 1 MiB and go back to the system from here on."""


def service_table(
    data: Path,
    *,
    host: str,
    port: int,
    workers: int | None,
    grace: float,
    environment: Mapping[str, str],
) -> list[ProcessSpec]:
    """The service's own processes, in the order in which they are started.

    Args:
        data: the data folder.
        workers: number of training processes; one more does the light work, one measures models. None: no
            workers at all, where what they need is not installed.
        grace: seconds that a worker takes at most to save the job at hand when it is told to stop.
        environment: addresses of the database and the broker, as environment variables.
    """
    logs = data / "logs"
    # -P: a file named celery.py in the working folder must not be taken for Celery
    python = (sys.executable, "-P", "-m")
    variables = {**environment, "STEADYRANK_DATA_DIR": str(data), "PYTHONUNBUFFERED": "1"}

    def worker(name: str, queue: str) -> ProcessSpec:
        celery = (
            "celery",
            "-A",
            "worker.celery_app",
            "worker",
            "--pool",
            "solo",
            "-Q",
            queue,
            "-n",
            node_name(name),
        )
        return ProcessSpec(
            name=name,
            command=(*python, *celery, "--loglevel", "INFO", "--without-gossip", "--without-mingle"),
            log=logs / f"{name}.log",
            folder=data,
            stage=WORKER,
            # a stop does not wait for the job at hand: it saves and goes on from there the next time
            environment={**variables, "REMAP_SIGTERM": "SIGQUIT"},
            # without a supervisor the database goes away too, and there is nothing to save to
            death_signal=signal.SIGKILL,
            stop_seconds=grace + 4.0,
        )

    reaper = ProcessSpec(
        name="reaper",
        command=(*python, "app.jobs.reaper"),
        log=logs / "reaper.log",
        folder=data,
        stage=REAPER,
        environment=variables,
        stop_seconds=5.0,
    )
    api = ProcessSpec(
        name="api",
        command=(
            *python,
            *("uvicorn", "--factory", "app.main:create_app", "--host", host, "--port", str(port)),
            *("--timeout-graceful-shutdown", "5", "--no-server-header"),
        ),
        log=logs / "api.log",
        folder=data,
        stage=API,
        environment={**variables, **API_MEMORY},
        stop_seconds=10.0,
        ready=lambda: answers(f"{local_url(host, port)}/readyz"),
    )
    # the API first: what it takes in waits for the workers, who need the processor to start
    if workers is None:
        return [api, reaper]
    trainers = [worker(f"train{number}", "train") for number in range(1, workers + 1)]
    return [api, reaper, *trainers, worker("light", "light"), worker("measure", "measure")]


def node_name(name: str) -> str:
    """What a worker of the table calls itself in the database."""
    return f"{name}@{socket.gethostname()}"


def local_url(host: str, port: int) -> str:
    """Address at which a service that listens on `host` is reached from this machine."""
    reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def answers(url: str) -> bool:
    """Whether a GET is answered with 200 and JSON."""
    # never through a proxy: this is our own machine
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            json.load(response)
            return True
    except (urllib.error.URLError, OSError, ValueError):
        return False
