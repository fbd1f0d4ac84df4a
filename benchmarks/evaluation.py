"""Full ranking of all test users with all metrics: CPU seconds of our evaluation, by what is asked of it.

    python -m benchmarks evaluation [--repeats 3] [--output FILE]

One thread; an untrained SASRec of the default sizes scores as fast as a trained one. The comparison with
other libraries is `python -m benchmarks peers`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.tables import markdown_table, write_json
from benchmarks.training import data_sets
from worker.training.data.sequences import Sequences
from worker.training.data.split import leave_one_out
from worker.training.evaluation.evaluate import evaluate, model_scorer
from worker.training.models.build import build_model
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec


def measure(sequences: Sequences, spec: TrainSpec, repeats: int) -> dict[str, Any]:
    """Median CPU seconds with ranks alone, and with top-10 lists and coverage besides."""
    split = leave_one_out(sequences)
    model = build_model(spec, split.n_items)
    model.initialise(torch.Generator().manual_seed(0))
    scorer = model_scorer(model, spec.max_length)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(repeats):
        for lists, taken in seconds.items():
            started = time.process_time()
            evaluate(scorer, split, "test", exclude_seen=True, lists=lists)
            taken.append(time.process_time() - started)
    return {
        "users": len(split.eval_users),
        "items": split.n_items,
        "ranks_cpu_seconds": round(statistics.median(seconds[False]), 3),
        "all_cpu_seconds": round(statistics.median(seconds[True]), 3),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks evaluation")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, help="write the figures there as JSON")
    given = parser.parse_args(arguments)
    Runtime("cpu", 1).prepare()
    found = {name: measure(each, TrainSpec(), given.repeats) for name, each in data_sets().items()}
    head = ["data", "users", "items", "ranks, HR, NDCG, MRR: CPU s", "with top-10 lists and coverage: CPU s"]
    rows = [
        [
            name,
            f"{one['users']:,}",
            f"{one['items']:,}",
            f"{one['ranks_cpu_seconds']:.2f}",
            f"{one['all_cpu_seconds']:.2f}",
        ]
        for name, one in found.items()
    ]
    print(markdown_table(head, rows))
    write_json(given.output, found)


if __name__ == "__main__":
    main()
