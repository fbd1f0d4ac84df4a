"""Reading a large log: against polars alone, and the passes over it that come before training.

Reading is measured against what polars needs for the same frame: ``read_csv`` with ids as text, then a stable
sort by time. The log is made up, in no order, with ids longer than polars keeps inline. CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl

from worker.training.adversary.cascade import cascade_effects, cascade_weights
from worker.training.data.batching import cut_windows
from worker.training.data.readers.read import ReadOptions, read_interactions
from worker.training.data.sequences import build_sequences
from worker.training.data.split import leave_one_out
from worker.training.process_memory import most_resident_bytes

T = TypeVar("T")
IDS = {"user": pl.String, "item": pl.String}


def write_log(path: Path, rows: int) -> None:
    """Write user,item,timestamp; activity and popularity are skewed, a user has about 33 rows."""
    rng = np.random.default_rng(0)
    users = pl.Series("user", (rng.random(rows) ** 2 * rows * 0.03).astype(np.int64)).cast(pl.String)
    items = pl.Series("item", (rng.random(rows) ** 3 * rows * 0.01).astype(np.int64)).cast(pl.String)
    times = pl.Series("timestamp", rng.integers(1_300_000_000, 1_500_000_000, rows))
    log = {"user": users + "_ABCDEFGH", "item": "B00" + items + "XY", "timestamp": times}
    pl.DataFrame(log).write_csv(path)


def main(arguments: list[str] | None = None) -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows: int = parser.parse_args(arguments).rows
    figures: dict[str, float] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        began = time.process_time()
        result = work()
        figures[f"{name}_cpu_seconds"] = round(time.process_time() - began, 2)
        figures[f"{name}_peak_mb"] = round(most_resident_bytes() / 1e6)
        return result

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.csv"
        write_log(log, rows)
        timed("polars_read", lambda: pl.read_csv(log, schema_overrides=IDS))
        timed(
            "polars_read_and_sort",
            lambda: pl.read_csv(log, schema_overrides=IDS).sort("timestamp", maintain_order=True),
        )
        read = timed("read_interactions", lambda: read_interactions(log, ReadOptions()))
    sequences = timed("build_sequences", lambda: build_sequences(read.interactions))
    split = timed("leave_one_out", lambda: leave_one_out(sequences))
    windows = timed("cut_windows", lambda: cut_windows(split.train, 200))
    effects = timed("cascade_effects", lambda: cascade_effects(windows, split.n_items, 1.0))
    timed("cascade_weights", lambda: cascade_weights(windows, effects, 1.0, 5.0))
    figures["read_over_polars_read_and_sort"] = round(
        figures["read_interactions_cpu_seconds"] / figures["polars_read_and_sort_cpu_seconds"], 2
    )
    print(json.dumps({"rows": rows, "input_positions": windows.n_targets, **figures}, indent=1))


if __name__ == "__main__":
    main()
