"""Time of an epoch from 10⁵ to 10⁷ synthetic interactions, with a linear fit and a plot.

    python -m benchmarks growth [--sizes 100000 1000000] [--figure docs/figures/growth.svg] [--output FILE]

One thread, SASRec, BCE, standard training; 10,000 items at every size, so that only the number of
interactions grows. An epoch is what `fit` repeats: composing the batches, loading them, drawing
negatives, and the steps. The first epoch is a warm-up up to a million interactions; above, an epoch is
long enough to be its own. The slope in the table is that of log(seconds) over log(interactions): 1 is
linear.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.own_process import in_own_process
from benchmarks.synthetic import power_law_log
from benchmarks.tables import markdown_table, write_json
from benchmarks.training import run_steps, variants_of
from worker.training.data.batching import BucketedBatches, cut_windows
from worker.training.data.sampling import NegativeSampler
from worker.training.data.split import leave_one_out
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec

SIZES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
ITEMS = 10_000
WARMED_UP_TO = 1_000_000


def measure(interactions: int) -> dict[str, Any]:
    """CPU seconds of an epoch over a log of that many interactions, and of making it ready for training."""
    Runtime("cpu", 1).prepare()
    sequences = power_law_log(interactions, ITEMS)
    spec = TrainSpec()
    started = time.process_time()
    train = leave_one_out(sequences).train
    windows = cut_windows(train, spec.max_length)
    batches = BucketedBatches(windows, spec.batch_size)
    sampler = NegativeSampler(train, windows)
    ready = time.process_time() - started
    variant = variants_of(spec, train, batches.n_batches)[0]
    if interactions <= WARMED_UP_TO:
        run_steps(variant, batches, batches.epoch(0, 1), sampler)
    started = time.process_time()
    run_steps(variant, batches, batches.epoch(0, 2), sampler)
    return {
        "interactions": interactions,
        "targets": windows.n_targets,
        "ready_cpu_seconds": round(ready, 3),
        "epoch_cpu_seconds": round(time.process_time() - started, 3),
    }


def fit(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Least squares of the epoch's seconds: the slope in log-log, and seconds per million interactions."""
    sizes = np.array([row["interactions"] for row in rows], dtype=np.float64)
    seconds = np.array([row["epoch_cpu_seconds"] for row in rows])
    slope = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
    return {"slope": slope, "seconds_per_million": 1e6 * float(sizes @ seconds / (sizes @ sizes))}


def draw(rows: list[dict[str, Any]], line: dict[str, float], path: Path) -> None:
    """Write the plot as SVG; matplotlib comes with the [worker] extra."""
    import matplotlib as mpl  # noqa: PLC0415 - only the plot needs it

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "growth"
    import matplotlib.pyplot as plt  # noqa: PLC0415

    sizes = [row["interactions"] for row in rows]
    figure, axes = plt.subplots(figsize=(6, 4))
    axes.loglog(sizes, [row["epoch_cpu_seconds"] for row in rows], "o", label="measured")
    linear = [line["seconds_per_million"] * size / 1e6 for size in sizes]
    axes.loglog(sizes, linear, "-", label=f"{line['seconds_per_million']:.1f} s a million interactions")
    axes.set(
        xlabel="interactions", ylabel="CPU seconds of an epoch", title=f"Growth: slope {line['slope']:.2f}"
    )
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks growth")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--figure", type=Path, help="write the plot there as SVG")
    parser.add_argument("--output", type=Path, help="write the figures there as JSON")
    given = parser.parse_args(arguments)
    rows = [in_own_process(measure, size) for size in given.sizes]
    head = ["interactions", "targets", "CPU s to make ready", "CPU s an epoch", "per million", "peak MB"]
    print(
        markdown_table(
            head,
            [
                [
                    f"{row['interactions']:,}",
                    f"{row['targets']:,}",
                    f"{row['ready_cpu_seconds']:.2f}",
                    f"{row['epoch_cpu_seconds']:.2f}",
                    f"{1e6 * row['epoch_cpu_seconds'] / row['interactions']:.2f}",
                    f"{row['peak_megabytes']:,}",
                ]
                for row in rows
            ],
        )
    )
    line = fit(rows)
    print(f"\nSlope in log-log {line['slope']:.3f}; {line['seconds_per_million']:.2f} CPU s a million")
    if given.figure:
        draw(rows, line, given.figure)
        print(f"Plot in {given.figure}")
    write_json(given.output, {"rows": rows, "fit": line})


if __name__ == "__main__":
    main()
