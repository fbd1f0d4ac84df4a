"""The order of the tests for several pytest processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, islice
from typing import TypeVar

T = TypeVar("T")


def dealt(
    items: Sequence[T], processes: int, *, slow: Callable[[T], bool], module: Callable[[T], object]
) -> list[T]:
    """Let every process begin with a share of what takes long; at the end, the others would wait for it.

    `--dist worksteal` gives each process one contiguous piece of the list, as long as the next, and lets who
    has finished take from another's tail: slow tests all at the head would be the first process's. A module's
    slow tests stay together, as they share what its fixtures have made.
    """
    modules = [list(tests) for _, tests in groupby(filter(slow, items), key=module)]
    quick = (item for item in items if not slow(item))
    order: list[T] = []
    for process in range(processes):
        mine = [item for tests in modules[process::processes] for item in tests]
        length = (len(items) - len(order)) // (processes - process)
        order += [*mine, *islice(quick, max(0, length - len(mine)))]
    return [*order, *quick]
