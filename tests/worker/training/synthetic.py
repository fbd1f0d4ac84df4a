"""Small data made on the spot, with something in it to learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from worker.training.data.sequences import Sequences


def sequences_of(rows: Sequence[Sequence[int]], n_items: int | None = None) -> Sequences:
    """Users 0, 1, … with these item numbers (from 1)."""
    items = np.array([item for row in rows for item in row], dtype=np.int32)
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    names = [f"i{item}" for item in range(1, (n_items or int(items.max())) + 1)]
    return Sequences([f"u{user}" for user in range(len(rows))], names, offsets, items)


def markov_sequences(
    n_users: int = 60, n_items: int = 30, *, seed: int = 0, follow: float = 0.85
) -> Sequences:
    """Users who mostly go from an item to its one successor; lengths 3 to 14."""
    rng = np.random.default_rng(seed)
    successor = np.roll(rng.permutation(n_items), 1)[np.argsort(rng.permutation(n_items))] + 1
    rows = []
    for _ in range(n_users):
        row = [int(rng.integers(1, n_items + 1))]
        for _ in range(int(rng.integers(2, 14))):
            follows = rng.random() < follow
            row.append(int(successor[row[-1] - 1]) if follows else int(rng.integers(1, n_items + 1)))
        rows.append(row)
    return sequences_of(rows, n_items)
