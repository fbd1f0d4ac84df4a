"""Run a measurement in a fresh process, so that its peak memory is its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

from worker.training.process_memory import most_resident_bytes


def in_own_process(measure: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What `measure(*arguments)` returned, with "peak_megabytes" of its process."""
    with multiprocessing.get_context("spawn").Pool(1) as process:
        return process.apply(_with_peak, (measure, *arguments))


def _with_peak(measure: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    figures = measure(*arguments)
    return {**figures, "peak_megabytes": round(peak_megabytes())}


def peak_megabytes() -> float:
    """Largest resident size of this process so far, in MiB."""
    return most_resident_bytes() / 2**20
