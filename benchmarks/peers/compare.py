"""SteadyRank's SASRec against RecTools', RePlay's and RecBole's: one run, one thread, the same data.

    python -m benchmarks peers [--peers rectools replay] [--data Beauty.txt] [--output FILE]

Each library runs in an environment of its own, by its own code, for a warm-up epoch that is not counted
and `--epochs` that are. Ours runs before the peers and after them, so that a drift of the machine shows;
its epochs of both runs are taken together. CPU seconds, not time on the clock.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.data import write_data
from benchmarks.peers.environments import (
    FOLDER,
    PEERS,
    RUNNERS,
    CudaBuildError,
    InstallationError,
    clean_environment,
    ready,
)
from benchmarks.tables import markdown_table, write_json
from benchmarks.training import data_sets

SETTINGS: dict[str, Any] = {
    "width": 64,
    "blocks": 2,
    "heads": 1,
    "window": 50,
    "batch": 256,
    "dropout": 0.5,
    "learning_rate": 1e-3,
    "seed": 0,
}


class RunnerError(RuntimeError):
    """A runner ended without a result; the message ends with what it said."""


@dataclass(frozen=True)
class Skipped:
    """A peer that could not be installed or run, and why; a table shows it as such."""

    library: str
    reason: str


def run(python: Path, runner: Path, data: Path, epochs: int, seconds: float) -> dict[str, Any]:
    """What a runner measured. Raises RunnerError when it fails or takes longer than `seconds`."""
    settings = json.dumps({**SETTINGS, "data": str(data.resolve()), "epochs": epochs})
    try:
        finished = subprocess.run(
            [str(python), str(runner), settings],
            env=clean_environment(),
            cwd=data.parent,  # some libraries leave logs where they run
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise RunnerError(f"{runner.name} was stopped after {seconds:.0f} s") from late
    if finished.returncode != 0:
        raise RunnerError(f"{runner.name} ended with {finished.returncode}:\n{finished.stderr[-1500:]}")
    return last_result(finished.stdout)


def last_result(printed: str) -> dict[str, Any]:
    """The JSON object on the last line of what a runner printed; libraries print before it."""
    lines = printed.strip().splitlines()
    if not lines or not lines[-1].startswith("{"):
        raise RunnerError(f"no result at the end of: {printed[-500:]!r}")
    result: dict[str, Any] = json.loads(lines[-1])
    return result


def merged(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Runs of one library as one: medians over the epochs of all, the larger peaks."""
    epochs = [seconds for one in runs for seconds in one["epochs_cpu_seconds"]]
    median = statistics.median(epochs)
    return {
        **runs[-1],
        "epochs_cpu_seconds": epochs,
        "epoch_cpu_seconds": round(median, 3),
        "targets_per_cpu_second": round(runs[-1]["targets_per_epoch"] / median),
        "evaluation_cpu_seconds": statistics.median(one["evaluation_cpu_seconds"] for one in runs),
        **{name: max(one[name] for one in runs) for name in ("training_peak_megabytes", "peak_megabytes")},
    }


def compare(data: Path, peers: list[str], epochs: int, seconds: float) -> list[dict[str, Any] | Skipped]:
    """Ours first, then each peer, all measured on the file `data`."""
    ours = Path(sys.executable), RUNNERS / "run_ours.py"
    mine = [run(*ours, data, epochs, seconds)]
    others: list[dict[str, Any] | Skipped] = []
    for name in peers:
        peer = PEERS[name]
        try:
            found = run(ready(peer), peer.runner, data, epochs, seconds)
            if peer.same_targets:
                refuse_other_targets(found, mine[0])
            others.append(found)
        except InstallationError as error:
            others.append(Skipped(peer.title, f"not installed: {str(error).splitlines()[-1]}"))
        except (RunnerError, CudaBuildError) as error:
            others.append(Skipped(peer.title, str(error)))
        print(f"  {peer.title}: done", file=sys.stderr, flush=True)
    mine.append(run(*ours, data, epochs, seconds))
    return [merged(mine), *others]


def refuse_other_targets(found: dict[str, Any], ours: dict[str, Any]) -> None:
    """Raise RunnerError for a library that trained on more or fewer targets than we: no ratio would hold."""
    its, mine = found["targets_per_epoch"], ours["targets_per_epoch"]
    if its != mine:
        raise RunnerError(f"it trained on {its:,} targets an epoch where ours has {mine:,}")


def table(results: list[dict[str, Any] | Skipped]) -> str:
    """Markdown; each ratio is of ours to that library, in this run."""
    ours = results[0]
    assert isinstance(ours, dict)  # noqa: S101 - compare() puts it there
    rows = []
    for one in results:
        if isinstance(one, Skipped):
            rows.append([one.library, f"skipped: {one.reason.splitlines()[0]}", *[""] * 8])
            continue
        rows.append(
            [
                f"{one['library']} {one['version'].partition(',')[0]}",
                one["loss"],
                f"{one['targets_per_epoch']:,}",
                f"{one['epoch_cpu_seconds']:.2f}",
                f"{one['targets_per_cpu_second']:,}",
                f"{ours['targets_per_cpu_second'] / one['targets_per_cpu_second']:.1f} ×",
                f"{one['training_peak_megabytes']:,}",
                f"{one['evaluation_cpu_seconds']:.2f}",
                f"1/{one['evaluation_cpu_seconds'] / ours['evaluation_cpu_seconds']:.1f}",
                "; ".join(one["notes"]),
            ]
        )
    head = ["library", "loss", "targets an epoch", "CPU s an epoch", "targets per CPU s", "ours is faster"]
    head += ["peak MB (training)", "CPU s to rank all users", "ours takes", "what differs"]
    return markdown_table(head, rows)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks peers")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--data", nargs="+", help="names of files in SHARED_DATA (default: both)")
    parser.add_argument(
        "--epochs", type=int, default=1, help="epochs counted, after one that is not (default 1)"
    )
    parser.add_argument("--seconds", type=float, default=1800, help="longest run of a library (default 1800)")
    parser.add_argument("--output", type=Path, help="write the figures there as JSON")
    given = parser.parse_args(arguments)
    measured: dict[str, Any] = {"settings": SETTINGS, "data": {}}
    for name, sequences in data_sets(given.data).items():
        file = FOLDER / "data" / f"{name.partition(' ')[0]}.tsv"
        write_data(sequences, file)
        results = compare(file, given.peers, given.epochs, given.seconds)
        print(f"\n### {name}\n\n{table(results)}")
        measured["data"][name] = [
            one if isinstance(one, dict) else {"library": one.library, "skipped": one.reason}
            for one in results
        ]
    write_json(given.output, measured)


if __name__ == "__main__":
    main()
