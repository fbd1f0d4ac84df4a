"""What a training step costs: targets per CPU second, and each adversarial level against standard training.

    python benchmarks/training.py [--model sasrec] [--rounds 9] [--steps 20] [--output result.json]

One thread. All variants take the same steps on the same batches, in turns within one process, so that
their *ratio* is sound on a busy machine where the absolute figures are not. A step here is all that an
epoch repeats: gathering the batch, drawing negatives, the passes, and the optimiser. Evaluation is not
part of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from worker.training.adversary.cascade import cascade_effects, cascade_weights
from worker.training.adversary.perturbation import OFF, Adversary, adversary_of
from worker.training.adversary.replacement import Replacer, replacer_of
from worker.training.data.batching import BucketedBatches, Windows, cut_windows
from worker.training.data.readers.read import ReadOptions, read_interactions
from worker.training.data.sampling import NegativeSampler
from worker.training.data.sequences import Sequences, build_sequences
from worker.training.data.split import leave_one_out
from worker.training.fitting.finite import FiniteGuard
from worker.training.fitting.state import TrainerState
from worker.training.fitting.step import StepInputs, training_step
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec

PUBLIC_DATA = ("ml-100k.inter", "Beauty.txt")
CPU = torch.device("cpu")


@dataclass
class Variant:
    """One way to train, with a model, an optimiser and random streams of its own, as a real run has them."""

    name: str
    adversary: Adversary
    replacer: Replacer | None
    state: TrainerState
    guard: FiniteGuard
    seconds: list[float]


def variants_of(spec: TrainSpec, train: Sequences, n_batches: int) -> list[Variant]:
    """Standard training, the levels along the gradient, and both in the forms that are ours."""
    gradient = spec.model_copy(update={"perturb_towards": "gradient", "perturb_share": None})
    both = adversary_of(gradient, "cascade")
    kinds = {
        "standard": OFF,
        "matching level": replace(both, lambda_history=0.0),
        "history level": replace(both, lambda_match=0.0),
        "both levels": both,
        "both, some towards items": adversary_of(spec, "cascade"),
        "both, some replaced": adversary_of(spec, "cascade_replacement"),
    }
    return [
        Variant(
            name,
            adversary,
            replacer_of(spec, adversary, train.items, train.n_items),
            TrainerState.fresh(spec, train.n_items, 0, CPU),
            FiniteGuard(name, 0, n_batches),
            [],
        )
        for name, adversary in kinds.items()
    ]


def measure(sequences: Sequences, spec: TrainSpec, *, rounds: int, steps: int) -> dict[str, Any]:
    """CPU seconds of `rounds` turns of `steps` steps for each variant, on the same batches within a turn."""
    train = leave_one_out(sequences).train
    windows = cut_windows(train, spec.max_length, spec.windows_per_user)
    weights = cascade_weights(
        windows, cascade_effects(windows, train.n_items, spec.kappa), spec.gamma, spec.weight_clip
    )
    batches = BucketedBatches(windows, spec.batch_size, weights)
    sampler = NegativeSampler(train, windows)
    variants = variants_of(spec, train, batches.n_batches)
    queue: list[np.ndarray] = []
    epoch = 0
    targets: list[int] = []
    for turn in range(-1, rounds):
        while len(queue) < steps:
            epoch += 1
            queue += batches.epoch(0, epoch)
        taken, queue = queue[:steps], queue[steps:]
        # The first turn warms up and is not counted. Whoever goes first differs from turn to turn.
        for nth in range(len(variants)):
            variant = variants[(nth + turn) % len(variants)]
            seconds = run_steps(variant, batches, taken, sampler)
            if turn >= 0:
                variant.seconds.append(seconds)
        if turn >= 0:
            targets.append(int(sum(windows.lengths[indices].sum() for indices in taken)))
    return {
        "users": train.n_users,
        "items": train.n_items,
        "training_targets": windows.n_targets,
        "batches_per_epoch": batches.n_batches,
        "padding_share": padding_share(windows, batches),
        "variants": [summary(variant, variants[0], targets) for variant in variants],
    }


def run_steps(
    variant: Variant, batches: BucketedBatches, taken: list[np.ndarray], sampler: NegativeSampler
) -> float:
    state = variant.state
    state.model.train()
    started = time.process_time()
    for indices in taken:
        batch = batches.load(indices)
        negatives = sampler.draw(batch, state.negatives)
        replaced = variant.replacer.draw(batch, state.replacements) if variant.replacer else None
        inputs = StepInputs.of(batch, negatives, CPU, replaced)
        state.step += 1
        training_step(
            state.model,
            state.optimiser,
            inputs,
            variant.adversary,
            streams=state.streams,
            guard=variant.guard,
            step=state.step,
        )
    return time.process_time() - started


def padding_share(windows: Windows, batches: BucketedBatches) -> float:
    """Share of the positions computed in an epoch that hold nothing; what bucketing keeps small."""
    computed = sum(len(i) * int(windows.lengths[i].max()) for i in batches.epoch(0, 1))
    return 1 - windows.n_targets / computed


def summary(variant: Variant, standard: Variant, targets: list[int]) -> dict[str, Any]:
    rates = [count / seconds for count, seconds in zip(targets, variant.seconds, strict=True)]
    ratios = [mine / its for mine, its in zip(variant.seconds, standard.seconds, strict=True)]
    return {
        "name": variant.name,
        "targets_per_cpu_second": round(statistics.median(rates)),
        "cost_ratio": round(statistics.median(ratios), 3),
        "cost_ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
    }


def synthetic(users: int = 5000, items: int = 4000) -> Sequences:
    """A log as sparse as Amazon reviews: 5 to 50 interactions a user, items drawn by a power law."""
    rng = np.random.default_rng(0)
    lengths = np.minimum(4 + rng.geometric(0.2, users), 50)
    drawn = (rng.pareto(1.0, int(lengths.sum())) * 20).astype(np.int64) % items
    names = np.repeat(np.arange(users), lengths)
    return build_sequences(pl.DataFrame({"user": names.astype(str), "item": drawn.astype(str)}))


def data_sets(names: Collection[str] | None = None) -> dict[str, Sequences]:
    """The public data sets, or those of `names`; a synthetic log where SHARED_DATA is not set."""
    folder = os.environ.get("SHARED_DATA")
    if folder is None:
        return {"synthetic (set SHARED_DATA for public data)": synthetic()}
    options = ReadOptions()
    return {
        name: build_sequences(read_interactions(Path(folder) / name, options).interactions)
        for name in PUBLIC_DATA
        if names is None or name in names
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--model", choices=["sasrec", "gru4rec"], default="sasrec")
    parser.add_argument("--rounds", type=int, default=9, help="turns that are counted (default 9)")
    parser.add_argument("--steps", type=int, default=20, help="steps of each variant a turn (default 20)")
    parser.add_argument("--output", type=Path, help="write the figures there as JSON")
    given = parser.parse_args(arguments)
    Runtime("cpu", 1).prepare()
    spec = TrainSpec(model=given.model)
    result: dict[str, Any] = {
        "model": given.model,
        "spec": spec.model_dump(
            mode="json", include={"max_length", "hidden_size", "blocks", "batch_size", "loss"}
        ),
        "environment": {"torch": torch.__version__, "python": platform.python_version(), "threads": 1},
        "data": {},
    }
    print(f"{given.model}, one thread, torch {torch.__version__}; medians of {given.rounds} turns")
    for name, sequences in data_sets().items():
        measured = measure(sequences, spec, rounds=given.rounds, steps=given.steps)
        result["data"][name] = measured
        print(
            f"\n{name}: {measured['users']} users, {measured['items']} items, "
            f"{measured['training_targets']} training targets, {measured['padding_share']:.0%} padding"
        )
        print(f"  {'':<26}{'targets/CPU s':>14}{'cost':>8}   range")
        for row in measured["variants"]:
            low, high = row["cost_ratio_range"]
            rate, ratio = f"{row['targets_per_cpu_second']:>14,}", f"{row['cost_ratio']:>8.2f}"
            print(f"  {row['name']:<26}{rate}{ratio}   {low:.2f} to {high:.2f}")
    if given.output:
        given.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(f"\nWritten to {given.output}")


if __name__ == "__main__":
    main()
