"""One digest for equal interactions, whatever file they came in."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl

_ROWS = 1 << 18


def content_sha256(interactions: pl.DataFrame) -> str:
    """SHA-256 over user, item, time (µs) and rating (IEEE bits) of every interaction, in order.

    Two files with the same interactions in the same order of time agree in it: format, compression, further
    columns and the columns' names do not matter.
    """
    digest = hashlib.sha256()
    for start in range(0, len(interactions), _ROWS):
        part = interactions.slice(start, _ROWS)
        columns = [part["user"], part["item"]]
        if "timestamp" in part.columns:
            columns.append(part["timestamp"].dt.timestamp("us").alias("time"))
        if "rating" in part.columns:
            numbers = part["rating"].fill_null(float("nan")).to_numpy().astype(np.float64)
            columns.append(pl.Series("rating", numbers.view(np.int64)))
        # Every cell in quotes: no two tables are written alike.
        text = pl.DataFrame(columns).write_csv(include_header=start == 0, quote_style="always")
        digest.update(text.encode())
    return digest.hexdigest()
