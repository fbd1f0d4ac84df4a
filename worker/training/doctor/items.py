"""How unevenly interactions are spread over items."""

from __future__ import annotations

import numpy as np

from worker.training.doctor.findings import Finding, percent
from worker.training.doctor.log import Log

HEAVY_HEAD = 0.5


def find_skew(log: Log) -> list[Finding]:
    """The share of the most popular 1 % of items, and the Gini coefficient (0: all alike, 1: one has all)."""
    counts = np.sort(np.bincount(log.sequences.items, minlength=log.sequences.n_items + 1)[1:])
    n, total = len(counts), int(counts.sum())
    head = -(-n // 100)
    share = float(counts[n - head :].sum() / total)
    gini = float((2 * np.arange(1, n + 1) - n - 1) @ counts / (n * total))
    return [
        Finding(
            "popularity_skew",
            "warning" if share >= HEAVY_HEAD and n > 100 else "info",
            f"The most popular 1 % of items have {percent(share)} of all interactions (Gini {gini:.2f}). "
            "Compare every model with the popularity baseline of the report.",
            head,
            "items",
            share,
            facts={"top_1_percent_share": share, "gini": gini},
        )
    ]
