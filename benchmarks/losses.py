"""What a training step of each ranking loss costs, and the memory it peaks at, over a catalogue of any size.

    python -m benchmarks losses [--items 100000] [--losses softmax] [--steps 3] [--output result.json]

One thread, SASRec, synthetic histories of 5 to 51 items in batches of 256 windows. Each row runs in a
process of its own, so that its peak memory is its own. The target: a full softmax over 100,000 items
under 2 GB.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from benchmarks.own_process import in_own_process, peak_megabytes
from worker.training.adversary.perturbation import OFF, adversary_of
from worker.training.adversary.replacement import replacer_of
from worker.training.data.batching import BucketedBatches, cut_windows
from worker.training.data.sequences import Sequences
from worker.training.fitting.finite import FiniteGuard
from worker.training.fitting.state import TrainerState
from worker.training.fitting.step import StepInputs, training_step
from worker.training.losses.build import build_loss, build_sampler
from worker.training.runtime import Runtime
from worker.training.settings import LossName
from worker.training.spec import TrainSpec

CPU = torch.device("cpu")


def synthetic(items: int, users: int = 2000) -> Sequences:
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 52, users)
    drawn = rng.integers(1, items + 1, int(lengths.sum())).astype(np.int32)
    names = [str(number) for number in range(max(users, items))]
    return Sequences(names[:users], names[:items], np.cumsum([0, *lengths]).astype(np.int64), drawn)


def measure(loss_name: LossName, items: int, steps: int, perturbed: bool) -> dict[str, Any]:
    Runtime("cpu", 1).prepare()
    spec = TrainSpec(loss=loss_name)
    train = synthetic(items)
    windows = cut_windows(train, spec.max_length)
    batches = BucketedBatches(windows, spec.batch_size)
    loss, sampler = build_loss(spec, train, CPU), build_sampler(spec, train, windows)
    state = TrainerState.fresh(spec, items, 0, CPU)
    state.model.train()
    guard = FiniteGuard(loss_name, 0, batches.n_batches)
    adversary = adversary_of(spec, "cascade") if perturbed else OFF
    replacer = replacer_of(spec, adversary, train.items, items)
    before = peak_megabytes()
    seconds, targets = [], []
    for step, indices in enumerate(batches.epoch(0, 1)[: steps + 1]):
        started = time.process_time()
        batch = batches.load(indices)
        drawn = sampler.draw(batch, state.negatives) if sampler else torch.zeros(0, dtype=torch.int64)
        replaced = replacer.draw(batch, state.replacements) if replacer else None
        training_step(
            state.model,
            state.optimiser,
            StepInputs.of(batch, drawn, CPU, replaced),
            adversary,
            streams=state.streams,
            guard=guard,
            step=step + 1,
            loss=loss,
        )
        seconds.append(time.process_time() - started)
        targets.append(int(batch.length_B.sum()))
    # The first step warms up and is not counted.
    return {
        "loss": loss_name,
        "levels": "both" if perturbed else "none",
        "cpu_seconds_per_step": round(statistics.median(seconds[1:]), 3),
        "targets_per_step": round(statistics.mean(targets)),
        "megabytes_before_the_first_step": round(before),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--items", type=int, default=100_000, help="catalogue size (default 100,000)")
    parser.add_argument("--losses", nargs="+", choices=get_args(LossName), default=get_args(LossName))
    parser.add_argument("--steps", type=int, default=3, help="steps that are counted (default 3)")
    parser.add_argument("--output", type=Path, help="write the figures there as JSON")
    given = parser.parse_args(arguments)
    print(f"{given.items:,} items; median CPU seconds of {given.steps} steps, one thread")
    print(f"{'':<18}{'levels':<8}{'s/step':>8}{'targets':>9}{'peak MB':>9}  (before the first step)")
    rows = []
    for name in given.losses:
        for perturbed in (False, True):
            row = in_own_process(measure, name, given.items, given.steps, perturbed)
            rows.append(row)
            print(
                f"{name:<18}{row['levels']:<8}{row['cpu_seconds_per_step']:>8.3f}"
                f"{row['targets_per_step']:>9,}{row['peak_megabytes']:>9,}"
                f"  ({row['megabytes_before_the_first_step']:,})"
            )
    if given.output:
        given.output.write_text(json.dumps({"items": given.items, "rows": rows}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
