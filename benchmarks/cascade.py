"""Cascade effects of ten million interactions: CPU seconds and memory. Target: under 2 s and 1 GB.

    python -m benchmarks cascade [--interactions 10000000] [--output FILE]

Windows of 50 over synthetic histories, 100,000 items. Effects are with κ = 0 and κ = 0.1 (which sums over
items); the weights made of them (γ = 1) are measured besides. Peak memory is the whole process, data and
libraries included; beside it stands what it was before.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from benchmarks.own_process import in_own_process, peak_megabytes
from benchmarks.synthetic import power_law_log
from benchmarks.tables import markdown_table, write_json
from worker.training.adversary.cascade import cascade_effects, cascade_weights
from worker.training.data.batching import cut_windows

ITEMS = 100_000


def measure(interactions: int, kappa: float) -> dict[str, Any]:
    windows = cut_windows(power_law_log(interactions, ITEMS), 50)
    before = peak_megabytes()
    started = time.process_time()
    effects = cascade_effects(windows, ITEMS, kappa)
    effects_seconds = time.process_time() - started
    effects_peak = peak_megabytes()
    started = time.process_time()
    cascade_weights(windows, effects, 1.0, 5.0)
    return {
        "kappa": kappa,
        "inputs": windows.n_targets,
        "effects_cpu_seconds": round(effects_seconds, 3),
        "weights_cpu_seconds": round(time.process_time() - started, 3),
        "megabytes_before": round(before),
        "megabytes_after_effects": round(effects_peak),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks cascade")
    parser.add_argument("--interactions", type=int, default=10_000_000)
    parser.add_argument("--output", type=Path, help="write the figures there as JSON")
    given = parser.parse_args(arguments)
    rows = [in_own_process(measure, given.interactions, kappa) for kappa in (0.0, 0.1)]
    head = [
        "κ",
        "input positions",
        "effects, CPU s",
        "weights, CPU s",
        "MB before",
        "after effects",
        "peak MB",
    ]
    print(f"{given.interactions:,} interactions\n")
    print(
        markdown_table(
            head,
            [
                [
                    str(row["kappa"]),
                    f"{row['inputs']:,}",
                    f"{row['effects_cpu_seconds']:.2f}",
                    f"{row['weights_cpu_seconds']:.2f}",
                    f"{row['megabytes_before']:,}",
                    f"{row['megabytes_after_effects']:,}",
                    f"{row['peak_megabytes']:,}",
                ]
                for row in rows
            ],
        )
    )
    write_json(given.output, {"interactions": given.interactions, "rows": rows})


if __name__ == "__main__":
    main()
