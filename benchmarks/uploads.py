"""A large file up and down: MB a second, and the peak memory of the API process and of the client.

    python -m benchmarks.uploads [--megabytes 2048] [--threads 4] [--output FILE]

A real Postgres and broker in a temporary folder, one API process, no worker; the client is the SDK in a
process of its own for each way. The file is text that hardly compresses. Memory is the largest resident size:
VmHWM of the API process and of each client (it never sinks), both in MiB with all their imports.
Needs [embedded], and about four times the file in free space where temporary files go.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.accounts.service import create_key
from app.db.migrate import upgrade
from app.db.session import Database
from app.embedded.postgres import Postgres
from app.embedded.processes import ProcessSpec, start, stop, wait_ready
from app.embedded.table import API_MEMORY
from app.embedded.valkey import Valkey
from app.sdk.client import SteadyRank
from app.sdk.discovery import Connection
from app.sdk.errors import ServiceUnreachableError
from benchmarks.own_process import in_own_process
from benchmarks.tables import markdown_table, write_json

MB = 1_000_000
BLOCK_BYTES = 1 << 20
WAYS = ("up in one request", "up in parts", "down")


@dataclass(frozen=True)
class Service:
    """A running service: where it is, and the process of its API."""

    connection: Connection
    process_id: int
    environment: dict[str, str]


def write_log(path: Path, megabytes: int) -> None:
    """Lines of random base64: every block differs from every other, and none compresses well."""
    with path.open("wb") as file:
        for number in range(-(-megabytes * MB // BLOCK_BYTES)):
            noise = hashlib.shake_128(number.to_bytes(8, "big")).digest(BLOCK_BYTES * 3 // 4 - 3)
            file.write(base64.b64encode(noise)[: BLOCK_BYTES - 1] + b"\n")


@contextmanager
def service_in(
    folder: Path, max_upload_bytes: int, factory: str = "app.main:create_app"
) -> Iterator[Service]:
    """A service that lasts for the block; `factory` makes its application."""
    postgres = Postgres(folder / "pg", folder, folder / "postgres.log")
    valkey = Valkey(folder / "valkey", folder, folder / "valkey.log")
    with _running(postgres), _running(valkey):
        postgres.create_database()
        upgrade(postgres.url())
        database = Database(postgres.url())
        with database.unit_of_work() as session:
            key = create_key(session, name="benchmark")[1]
        database.dispose()
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = found.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        environment = {
            "DATABASE_URL": postgres.url(),
            "REDIS_URL": valkey.url(),
            "STEADYRANK_DATA_DIR": str(folder),
            "STEADYRANK_MAX_UPLOAD_BYTES": str(max_upload_bytes),
            "STEADYRANK_LOG_LEVEL": "warning",
        }
        api = ProcessSpec(
            name="api",
            command=(
                *(sys.executable, "-m", "uvicorn", "--factory", factory),
                *("--port", str(port), "--log-level", "warning"),
            ),
            log=folder / "api.log",
            folder=Path.cwd(),
            environment={**environment, **API_MEMORY},
            ready=lambda: _is_up(url),
        )
        process = start(api)
        try:
            wait_ready(api, process, seconds=60.0)
            yield Service(Connection(url, key), process.pid, environment)
        finally:
            stop([(api, process)])


@contextmanager
def _running(server: Postgres | Valkey) -> Iterator[None]:
    server.prepare()
    process = start(server.spec())
    try:
        wait_ready(server.spec(), process, seconds=60.0)
        yield
    finally:
        stop([(server.spec(), process)])


def _is_up(url: str) -> bool:
    with SteadyRank(url, "unused", max_retries=0) as client:
        try:
            return bool(client.health())
        except ServiceUnreachableError:
            return False


def transfer(way: str, url: str, key: str, path: str, threads: int) -> dict[str, Any]:
    """One way, once; the data set's SHA-256, and seconds on the clock."""
    with SteadyRank(url, key, timeout=600.0) as client:
        began = time.perf_counter()
        if way == "down":
            dataset = next(client.datasets.list())
            client.datasets.content(dataset, Path(path).with_suffix(".back"))
        else:
            limit = 0 if way == "up in parts" else sys.maxsize
            dataset = client.datasets.upload(path, wait=False, parts_above=limit, threads=threads)
        return {"seconds": time.perf_counter() - began, "sha256": dataset.sha256}


def peak_megabytes_of(process_id: int) -> float:
    """Largest resident size that a process has had, in MiB, as Linux counts it."""
    status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def measure(megabytes: int, threads: int) -> dict[str, Any]:
    """Figures of every way, in turn against one service; RuntimeError when bytes are not what they were."""
    with tempfile.TemporaryDirectory(prefix="sr-") as name:
        folder = Path(name)
        log = folder / "log.csv"
        write_log(log, megabytes)
        with log.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = log.stat().st_size
        ways: list[dict[str, Any]] = []
        with service_in(folder, 2 * size) as service:
            before = peak_megabytes_of(service.process_id)
            place = (service.connection.base_url, service.connection.api_key)
            for way in WAYS:
                row = in_own_process(transfer, way, *place, str(log), threads)
                if row.pop("sha256") != sha256:
                    raise RuntimeError(f"{way}: other bytes arrived")
                peak = round(peak_megabytes_of(service.process_id))
                rate = size / MB / row["seconds"]
                ways.append({"way": way, **row, "megabytes_per_second": rate, "api_peak_megabytes": peak})
    return {"bytes": size, "threads": threads, "api_megabytes_at_start": round(before), "ways": ways}


def main(arguments: list[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.uploads")
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--threads", type=int, default=4, help="parts sent at a time")
    parser.add_argument("--output", type=Path, help="write the figures there as JSON")
    given = parser.parse_args(arguments)
    figures = measure(given.megabytes, given.threads)
    at_start = figures["api_megabytes_at_start"]
    print(f"{figures['bytes'] / MB:.0f} MB; the API process had {at_start} MiB at first\n")
    rows = [
        [
            row["way"],
            f"{row['seconds']:.1f}",
            f"{row['megabytes_per_second']:.0f}",
            str(row["api_peak_megabytes"]),
            str(row["peak_megabytes"]),
        ]
        for row in figures["ways"]
    ]
    print(markdown_table(("way", "seconds", "MB a second", "API peak MiB", "client peak MiB"), rows))
    write_json(given.output, figures)


if __name__ == "__main__":
    main()
