"""Peak memory of training with both levels and of evaluating. Target: 500 MB on Beauty.

    python -m benchmarks memory [--epochs 2] [--output FILE]

What is counted is the whole process: libraries, reading the file, the warm-up, the cascade arm with both
levels, and a full ranking after each of its epochs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.own_process import in_own_process, peak_megabytes
from benchmarks.tables import markdown_table, write_json
from benchmarks.training import data_sets
from worker.training.data.split import leave_one_out
from worker.training.evaluation.evaluate import evaluate, model_scorer
from worker.training.fitting.trainer import Trainer
from worker.training.models.base import SequenceModel
from worker.training.progress import MemoryCheckpoints, SilentProgress
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec


def measure(name: str, epochs: int) -> dict[str, Any]:
    Runtime("cpu", 1).prepare()
    imported = peak_megabytes()
    sequences = data_sets([name])[name]
    split = leave_one_out(sequences)
    read = peak_megabytes()
    spec = TrainSpec(arms=("cascade",), epochs=1 + epochs, warmup_epochs=1)

    def validate(model: SequenceModel) -> dict[str, float]:
        scorer = model_scorer(model, spec.max_length)
        return evaluate(scorer, split, "validation", exclude_seen=True, lists=False).metrics

    Trainer(
        spec, split.train, validate=validate, progress=SilentProgress(), checkpoints=MemoryCheckpoints()
    ).train("cascade", 0)
    return {"after_imports": round(imported), "after_reading": round(read)}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks memory")
    parser.add_argument(
        "--epochs", type=int, default=2, help="epochs with both levels, after a warm-up epoch"
    )
    parser.add_argument("--output", type=Path, help="write the figures there as JSON")
    given = parser.parse_args(arguments)
    found = {name: in_own_process(measure, name, given.epochs) for name in data_sets()}
    rows = [
        [name, f"{one['after_imports']:,}", f"{one['after_reading']:,}", f"{one['peak_megabytes']:,}"]
        for name, one in found.items()
    ]
    print(markdown_table(["data", "MB after imports", "after reading", "peak"], rows))
    write_json(given.output, found)


if __name__ == "__main__":
    main()
