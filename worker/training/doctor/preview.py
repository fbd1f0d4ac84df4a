"""The beginning of a log: as it was understood, and as it stands in the file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from worker.training.data.readers.source import is_parquet

ROWS = 100
LONGEST_CELL, LONGEST_LINE = 200, 500
_HEAD_BYTES = 128 * 1024


def preview_of(interactions: pl.DataFrame, rows: pl.Series, plain: Path | None) -> dict[str, Any]:
    """The first interactions of the file as {user, item, time, rating}, and the file's first lines.

    `lines` is None for parquet, and where there is no file. What is long is cut.
    """
    first = pl.DataFrame({"at": rows}).with_row_index("row").bottom_k(ROWS, by="at").sort("at", "row")["row"]
    head = interactions.select(pl.all().gather(first))
    times = head["timestamp"].to_list() if "timestamp" in head.columns else [None] * len(head)
    ratings = head["rating"].to_list() if "rating" in head.columns else [None] * len(head)
    shown = [
        {"user": user[:LONGEST_CELL], "item": item[:LONGEST_CELL], "time": _text(time), "rating": rating}
        for user, item, time, rating in zip(head["user"], head["item"], times, ratings, strict=True)
    ]
    return {"rows": shown, "lines": None if plain is None or is_parquet(plain) else _lines(plain)}


def _lines(plain: Path) -> list[str]:
    with plain.open("rb") as file:
        text = file.read(_HEAD_BYTES).decode("utf-8", "replace")
    return [line[:LONGEST_LINE] for line in text.splitlines()[:ROWS]]


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
