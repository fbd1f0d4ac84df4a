"""A log as the doctor looks at it: numbers for ids, each user's interactions together, in time order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from worker.training.data.readers.problems import MAX_LINES_NAMED
from worker.training.data.sequences import Int32, Int64, Sequences, number_ids

Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Log:
    """N interactions of U users on V items, and where they stand.

    sequences: as training builds them, without a filter; position p below is one in its flat arrays.
    order: int64[N], the row of the interactions at position p. rows: int64[N], the 0-based row of the file.
    ratings: float64[N] or None. now: microseconds since 1970 UTC, after which times lie in the future.
    """

    sequences: Sequences
    order: Int64
    rows: Int64
    ratings: npt.NDArray[np.float64] | None
    now: int

    @cached_property
    def user_of(self) -> Int32:
        """int32[N]: the user number of each position."""
        users = np.arange(self.sequences.n_users, dtype=np.int32)
        return np.repeat(users, self.sequences.lengths)

    @cached_property
    def continues(self) -> Bool:
        """bool[N]: the position before is the same user's."""
        same = np.ones(self.sequences.n_interactions, dtype=np.bool_)
        same[self.sequences.offsets[:-1]] = False
        return same

    @cached_property
    def ties(self) -> Bool:
        """bool[N]: the position before is the same user's at the same time; all False without times."""
        times = self.sequences.times
        if times is None:
            return np.zeros(self.sequences.n_interactions, dtype=np.bool_)
        tied = self.continues.copy()
        tied[1:] &= times[1:] == times[:-1]
        return tied

    def first_rows(self, positions: Bool | Int64) -> list[int]:
        """The first few rows of the file, ascending, among some positions (a mask, or their numbers)."""
        rows = self.rows[positions]
        if len(rows) > MAX_LINES_NAMED:
            rows = np.partition(rows, MAX_LINES_NAMED - 1)[:MAX_LINES_NAMED]
        return [int(row) for row in np.sort(rows)]


def log_of(interactions: pl.DataFrame, rows: pl.Series | None = None, *, now: datetime | None = None) -> Log:
    """Number and gather interactions as `read_interactions` returns them.

    `rows` are the file's rows of each; without them the interactions' own. `now` is the clock's by default.
    """
    users, user_ids = number_ids(interactions["user"])
    items, item_ids = number_ids(interactions["item"])
    by_user = pl.Series("user", users).to_frame().select(pl.arg_sort_by("user", maintain_order=True))
    order = by_user["user"].to_numpy().astype(np.int64)
    offsets = np.zeros(len(user_ids) + 1, dtype=np.int64)
    np.cumsum(np.bincount(users, minlength=len(user_ids)), out=offsets[1:])
    times = ratings = None
    if "timestamp" in interactions.columns:
        times = interactions["timestamp"].dt.timestamp("us").to_numpy().astype(np.int64)[order]
    if "rating" in interactions.columns:
        ratings = interactions["rating"].to_numpy().astype(np.float64)[order]
    in_file = order if rows is None else rows.to_numpy().astype(np.int64)[order]
    sequences = Sequences(user_ids, item_ids, offsets, (items[order] + 1).astype(np.int32), times)
    moment = now or datetime.now(UTC)
    return Log(sequences, order, in_file, ratings, int(moment.timestamp() * 1e6))
