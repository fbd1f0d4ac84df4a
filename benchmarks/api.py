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
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from app.embedded.processes import start, stop
from app.sdk.client import SteadyRank
from benchmarks.api_projects import fill_project, worker_of
from benchmarks.api_start import first_step, import_seconds
from benchmarks.load import as_fast_as_possible, at_a_rate, download
from benchmarks.own_process import in_own_process
from benchmarks.tables import markdown_table, write_json
from benchmarks.uploads import MB, peak_megabytes_of, service_in, write_log

RATE = 200.0
FEW, MANY = 100, 100_000


def in_turns(
    measure: Callable[..., dict[str, Any]],
    places: dict[str, tuple[str, str]],
    *arguments: Any,
    rounds: int,
) -> dict[str, list[dict[str, Any]]]:
    """What each round of `measure(url, key, …)` returned, in fresh processes, one place after the other."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in places}
    for _ in range(rounds):
        for name, place in places.items():
            found[name].append(in_own_process(measure, *place, *arguments))
    return found


def median_of(rounds: list[dict[str, Any]]) -> float:
    """Median latency over all rounds, in milliseconds."""
    return 1000 * statistics.median(value for one in rounds for value in one["latencies"])


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
                few_job, few_key = fill_project(service, "few", FEW)
                with SteadyRank(url, few_key) as client:
                    dataset = next(iter(client.datasets.list())).id
                    first_step(client, dataset)  # the first run of all reads the files from disk
                    steps = [(first_step(client, dataset), import_seconds()) for _ in range(rounds)]
                _, many_key = fill_project(service, "many", many)
            finally:
                stop([(spec, worker)])
            with SteadyRank(url, few_key, timeout=600.0) as client:
                blob = client.datasets.upload(file, wait=False, parts_above=sys.maxsize).id
            gets = {"job": (f"{url}/v1/jobs/{few_job}", few_key), "empty": (f"{url}/v1/empty", few_key)}
            steady = in_turns(at_a_rate, gets, RATE, seconds, rounds=rounds)
            fast = in_turns(as_fast_as_possible, gets, 8, seconds, rounds=rounds)
            page = f"{url}/v1/jobs?limit=20"
            pages = {"few": (page, few_key), "many": (page, many_key)}
            lists = in_turns(as_fast_as_possible, pages, 1, seconds, rounds=rounds)
            files = {
                "blob": (f"{url}/v1/datasets/{blob}/content", few_key),
                "file": (f"{url}/v1/file", few_key),
            }
            downloads = in_turns(download, files, rounds=rounds)
            with SteadyRank(url, few_key, timeout=600.0) as client:
                use_the_rest(client, url, file)
            resident = {
                "at start": at_start,
                "after load": resident_megabytes_of(service.process_id),
                "peak": peak_megabytes_of(service.process_id),
            }
    rates, listed = (
        {name: statistics.median(one["per_second"] for one in rounds) for name, rounds in found.items()}
        for found in (fast, lists)
    )
    ways = {
        name: statistics.median(one["bytes"] / MB / one["seconds"] for one in found)
        for name, found in downloads.items()
    }
    return {
        "latency_milliseconds": {name: median_of(found) for name, found in steady.items()},
        "answers_per_second": rates,
        "lists_per_second": listed,
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
