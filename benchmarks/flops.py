"""FLOP/s of the standard step against `torch.mm` at its shapes, and where the rest goes.

    python -m benchmarks flops [--steps 30] [--output FILE]

One thread, SASRec, BCE. Counted are the matrix products that the step runs, two operations a
multiply-add, by the shapes that torch's profiler records. The limit is the same list of products run
alone by `torch.mm` and `torch.bmm`, so a share of 60 % says that a step of nothing but its products would
take 60 % of the time.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.tables import markdown_table, write_json
from benchmarks.training import Variant, data_sets, run_steps, variants_of
from worker.training.data.batching import BucketedBatches, cut_windows
from worker.training.data.sampling import NegativeSampler
from worker.training.data.sequences import Sequences
from worker.training.data.split import leave_one_out
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec

Product = tuple[int, int, int, int]
"""Batch, n, k, m: that many products of [n, k] by [k, m]."""
MATRIX_PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")
SHOWN = 12
"""Rows of the profile; the others are summed."""


def product_of(name: str, shapes: list[list[int]]) -> Product | None:
    """The matrix product of an operation that the profiler recorded, or None."""
    if name not in MATRIX_PRODUCTS:
        return None
    left, right = shapes[1:3] if name in ("aten::addmm", "aten::baddbmm") else shapes[:2]
    batch = left[0] if len(left) == 3 else 1
    return batch, left[-2], left[-1], right[-1]


def operations(products: Counter[Product]) -> int:
    """Floating-point operations: 2 · batch · n · k · m of each."""
    return sum(2 * count * b * n * k * m for (b, n, k, m), count in products.items())


def seconds_alone(products: Counter[Product]) -> float:
    """CPU seconds of these products by themselves, each shape timed for at least a hundredth of a second."""
    total = 0.0
    for (b, n, k, m), count in products.items():
        left, right = torch.randn(b, n, k), torch.randn(b, k, m)
        if b == 1:
            left, right = left[0], right[0]
        multiply = torch.mm if b == 1 else torch.bmm
        multiply(left, right)
        repeats, started = 0, time.process_time()
        while repeats < 3 or time.process_time() - started < 0.01:
            multiply(left, right)
            repeats += 1
        total += count * (time.process_time() - started) / repeats
    return total


def measure(sequences: Sequences, spec: TrainSpec, steps: int) -> dict[str, Any]:
    train = leave_one_out(sequences).train
    windows = cut_windows(train, spec.max_length)
    batches = BucketedBatches(windows, spec.batch_size)
    sampler = NegativeSampler(train, windows)
    variant: Variant = variants_of(spec, train, batches.n_batches)[0]
    queue: list[np.ndarray] = []
    while len(queue) < 2 * steps:
        queue += batches.epoch(0, len(queue) + 1)
    run_steps(variant, batches, queue[:5], sampler)
    seconds = run_steps(variant, batches, queue[:steps], sampler)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiled:
        run_steps(variant, batches, queue[:steps], sampler)
    products: Counter[Product] = Counter()
    spent: dict[str, float] = defaultdict(float)
    for event in profiled.events():
        product = product_of(event.name, event.input_shapes)
        if product is not None:
            products[product] += 1
        spent[event.name] += event.self_cpu_time_total
    total = sum(spent.values())
    ranked = sorted(spent.items(), key=lambda entry: -entry[1])
    alone = seconds_alone(products)
    count = operations(products)
    return {
        "steps": steps,
        "cpu_seconds_per_step": seconds / steps,
        "gigaflop_per_step": count / steps / 1e9,
        "achieved_gigaflops": count / seconds / 1e9,
        "limit_gigaflops": count / alone / 1e9,
        "share_of_limit": alone / seconds,
        "profile": [[name, microseconds / total] for name, microseconds in ranked[:SHOWN]]
        + [["all others", sum(microseconds for _, microseconds in ranked[SHOWN:]) / total]],
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks flops")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--output", type=Path, help="write the figures there as JSON")
    given = parser.parse_args(arguments)
    Runtime("cpu", 1).prepare()
    found = {name: measure(each, TrainSpec(), given.steps) for name, each in data_sets().items()}
    head = [
        "data",
        "ms a step",
        "GFLOP a step",
        "achieved GFLOP/s",
        "torch.mm at its shapes",
        "share of the limit",
    ]
    print(
        markdown_table(
            head,
            [
                [
                    name,
                    f"{1000 * one['cpu_seconds_per_step']:.1f}",
                    f"{one['gigaflop_per_step']:.2f}",
                    f"{one['achieved_gigaflops']:.1f}",
                    f"{one['limit_gigaflops']:.1f}",
                    f"{one['share_of_limit']:.0%}",
                ]
                for name, one in found.items()
            ],
        )
    )
    for name, one in found.items():
        print(f"\nWhere a step's CPU time goes, {name} (torch.profiler, self time)\n")
        print(
            markdown_table(
                ["operation", "share"], [[f"`{op}`", f"{part:.1%}"] for op, part in one["profile"]]
            )
        )
    write_json(given.output, found)


if __name__ == "__main__":
    main()
