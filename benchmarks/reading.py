"""Reading a large log: against polars alone, and the passes over it that come before training.

    python -m benchmarks reading [--rows 10000000] [--rounds 3] [--output FILE]

Reading is measured against what polars needs for the same frame: `read_csv` with ids as text, then a stable
sort by time. The two take turns, each in a process of its own and every other round the other way round. The
log is made up, in no order, with ids longer than polars keeps inline. CPU seconds. Target: 1.5 times.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from benchmarks.own_process import in_own_process, peak_megabytes
from benchmarks.tables import markdown_table, write_json
from worker.training.adversary.cascade import cascade_effects, cascade_weights
from worker.training.data.batching import cut_windows
from worker.training.data.readers.read import ReadOptions, read_interactions
from worker.training.data.sequences import build_sequences
from worker.training.data.split import leave_one_out

T = TypeVar("T")
IDS = {"user": pl.String, "item": pl.String}
POLARS, SORTED, OURS = (
    "`read_csv`, ids as text",
    "the same, then a stable sort by time",
    "`read_interactions`",
)


def write_log(path: Path, rows: int) -> None:
    """Write user,item,timestamp; activity and popularity are skewed, a user has about 33 rows."""
    rng = np.random.default_rng(0)
    users = pl.Series("user", (rng.random(rows) ** 2 * rows * 0.03).astype(np.int64)).cast(pl.String)
    items = pl.Series("item", (rng.random(rows) ** 3 * rows * 0.01).astype(np.int64)).cast(pl.String)
    times = pl.Series("timestamp", rng.integers(1_300_000_000, 1_500_000_000, rows))
    log = {"user": users + "_ABCDEFGH", "item": "B00" + items + "XY", "timestamp": times}
    pl.DataFrame(log).write_csv(path)


def read(name: str, log: Path) -> dict[str, Any]:
    """CPU seconds of reading in one of the three ways."""
    began = time.process_time()
    if name == OURS:
        read_interactions(log, ReadOptions())
    else:
        frame = pl.read_csv(log, schema_overrides=IDS)
        if name == SORTED:
            frame.sort("timestamp", maintain_order=True)
    return {"cpu_seconds": time.process_time() - began}


def prepare(log: Path) -> dict[str, Any]:
    """CPU seconds of every pass from the file to the weights, and the process's peak after each."""
    rows: list[dict[str, Any]] = []

    def timed(name: str, work: Callable[[], T]) -> T:
        began = time.process_time()
        result = work()
        seconds = time.process_time() - began
        rows.append({"pass": name, "cpu_seconds": seconds, "peak_megabytes": round(peak_megabytes())})
        return result

    interactions = timed(OURS, lambda: read_interactions(log, ReadOptions()).interactions)
    sequences = timed("`build_sequences`", lambda: build_sequences(interactions))
    split = timed("`leave_one_out`", lambda: leave_one_out(sequences))
    windows = timed("`cut_windows`", lambda: cut_windows(split.train, 200))
    effects = timed("cascade effects, κ = 1", lambda: cascade_effects(windows, split.n_items, 1.0))
    timed("cascade weights, γ = 1", lambda: cascade_weights(windows, effects, 1.0, 5.0))
    return {"passes": rows, "input_positions": windows.n_targets}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks reading")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="write the figures there as JSON")
    given = parser.parse_args(arguments)
    ways = (POLARS, SORTED, OURS)
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.csv"
        write_log(log, given.rows)
        for turn in range(given.rounds):
            for name in ways if turn % 2 == 0 else reversed(ways):
                turns[name].append(in_own_process(read, name, log))
        passes = in_own_process(prepare, log)
    seconds = {name: [one["cpu_seconds"] for one in of_one] for name, of_one in turns.items()}
    ratios = [ours / theirs for ours, theirs in zip(seconds[OURS], seconds[SORTED], strict=True)]
    rows = [
        [
            name,
            f"{statistics.median(seconds[name]):.2f}",
            f"{max(one['peak_megabytes'] for one in turns[name]):,}",
        ]
        for name in ways
    ]
    print(f"{given.rows:,} rows, {given.rounds} turns\n")
    print(markdown_table(["reading", "CPU s", "peak MB"], rows))
    middle = statistics.median(ratios)
    print(f"\n{OURS} over {SORTED}: {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})\n")
    made = [
        [row["pass"], f"{row['cpu_seconds']:.2f}", f"{row['peak_megabytes']:,}"] for row in passes["passes"]
    ]
    print(markdown_table(["pass", "CPU s", "peak MB so far"], made))
    write_json(given.output, {"rows": given.rows, "turns": turns, "ratios": ratios, **passes})


if __name__ == "__main__":
    main()
