"""What a reader is told and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from worker.training.data.readers.columns import ROLES
from worker.training.data.readers.problems import Problem


@dataclass(frozen=True)
class ReadOptions:
    """What the caller knows better than a guess, and limits.

    format: one of sniff.FORMATS. *_column: a column's name, or column_1, column_2, … in a file without a
    header; None guesses, "" takes none (time and rating only). max_rows: interactions. max_bytes: of the
    plain, decompressed content.
    """

    format: str | None = None
    user_column: str | None = None
    item_column: str | None = None
    time_column: str | None = None
    rating_column: str | None = None
    max_rows: int | None = None
    max_bytes: int | None = None

    def named(self) -> dict[str, str | None]:
        """Role → column for what was said; None where the caller wants none."""
        said = zip(
            ROLES, (self.user_column, self.item_column, self.time_column, self.rating_column), strict=True
        )
        return {role: name or None for role, name in said if name is not None}


@dataclass(frozen=True)
class ReadResult:
    """The interactions, and how they were read.

    interactions: columns user, item (String), and where the file has them timestamp (Datetime in µs, UTC) and
    rating (Float64); stably sorted by time where there is time, else in the file's order.
    columns: {"user", "item", "time", "rating": name or None, "guessed": bool}. stats: {"users", "items",
    "interactions", "first_at", "last_at"}, the moments as RFC 3339 text or None. problems: warnings only.
    rows: integers, the 0-based row of the file of each interaction.
    """

    interactions: pl.DataFrame
    format: str
    columns: dict[str, Any]
    stats: dict[str, Any]
    problems: list[Problem]
    rows: pl.Series


@dataclass(frozen=True)
class OpenFile:
    """A file that was read and is still there, for whoever wants to look closer.

    plain: the decompressed content. lines_of: 0-based row numbers (ascending) → 1-based lines of it, or rows
    where it is parquet; `unit` says which, "line" or "row".
    """

    result: ReadResult
    plain: Path
    lines_of: Callable[[Sequence[int]], list[int]]
    unit: str
