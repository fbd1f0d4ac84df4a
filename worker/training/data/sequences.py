"""Interactions → sequences: one time-ordered list of item numbers a user.

Ragged arrays are kept flat: all users' items one after another, with `offsets` telling where each user's
begin (CSR). Item numbers count from 1; 0 is padding and no item.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from worker.training.progress import DataError

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


def ragged_positions(starts: Int64, lengths: Int32 | Int64) -> Int64:
    """Flat indices of many slices: ``concatenate([arange(s, s + n) for s, n in zip(starts, lengths)])``."""
    counts = lengths.astype(np.int64)
    first_of_slice = np.cumsum(counts) - counts
    positions: Int64 = np.arange(int(counts.sum()), dtype=np.int64)
    positions += np.repeat(starts - first_of_slice, counts)
    return positions


@dataclass(frozen=True)
class Sequences:
    """Every user's items in time order.

    user_ids[u]: the id of user number u, as given; item_ids[i - 1]: the id of item number i.
    offsets: int64[U+1]; items: int32[N], 1-based; times: int64[N] in microseconds since 1970 UTC, or None.
    """

    user_ids: list[str]
    item_ids: list[str]
    offsets: Int64
    items: Int32
    times: Int64 | None = None

    @property
    def n_users(self) -> int:
        """U."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """V: item numbers are 1 … V."""
        return len(self.item_ids)

    @property
    def n_interactions(self) -> int:
        """N."""
        return len(self.items)

    @property
    def lengths(self) -> Int64:
        """int64[U]: interactions of each user."""
        return self.offsets[1:] - self.offsets[:-1]

    def of(self, user: int) -> Int32:
        """Return a view of that user's items, oldest first."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]


def build_sequences(
    interactions: pl.DataFrame, *, min_rating: float | None = None, k_core: int = 0
) -> Sequences:
    """Filter the interactions and gather them by user.

    `interactions` has the columns user, item (strings) and may have timestamp and rating; its rows are in
    time order (or in the order to be taken for it), as `read_interactions` returns them. Kept users and items
    are numbered by their first appearance. Raises DataError when a rating is asked for that is not there, or
    when the filters leave nothing.
    """
    if min_rating is not None:
        if "rating" not in interactions.columns:
            raise DataError(
                "min_rating is set, but the data set has no rating column",
                hint="Leave min_rating out, or name the column that holds the ratings.",
            )
        interactions = interactions.filter(pl.col("rating") >= min_rating)
    users, user_ids = number_ids(interactions["user"])
    items, item_ids = number_ids(interactions["item"])
    times = None
    if "timestamp" in interactions.columns:
        times = interactions["timestamp"].dt.timestamp("us").to_numpy().astype(np.int64)
    if k_core > 1:
        kept = _k_core(users, items, len(user_ids), len(item_ids), k_core)
        users, user_ids = _renumber(users[kept], user_ids)
        items, item_ids = _renumber(items[kept], item_ids)
        times = times[kept] if times is not None else None
    if not len(users):
        raise DataError(
            f"no interaction is left (min_rating {min_rating}, k_core {k_core})",
            hint="Lower k_core or min_rating.",
        )
    order = _stable_order(users)
    offsets = np.zeros(len(user_ids) + 1, dtype=np.int64)
    np.cumsum(np.bincount(users, minlength=len(user_ids)), out=offsets[1:])
    return Sequences(
        user_ids=user_ids,
        item_ids=item_ids,
        offsets=offsets,
        items=(items[order] + 1).astype(np.int32),
        times=times[order] if times is not None else None,
    )


def number_ids(ids: pl.Series) -> tuple[Int64, list[str]]:
    """Number ids by first appearance: the number (0-based) of each row, and the id of each number."""
    # By their hashes, in half the time; then every row is held against the id that it was numbered as.
    hashes = ids.hash()
    firsts = hashes.is_first_distinct()
    names = ids.filter(firsts)
    numbers = pl.int_range(len(names), dtype=pl.UInt32, eager=True)
    codes = hashes.replace_strict(hashes.filter(firsts), numbers, return_dtype=pl.UInt32)
    if (names.gather(codes) == ids).all():
        return codes.to_numpy().astype(np.int64), names.to_list()
    return _number_by_categories(ids)  # two ids have one hash


def _number_by_categories(ids: pl.Series) -> tuple[Int64, list[str]]:
    # Categories of their own: polars' global ones would go on growing in a worker that lives for weeks.
    codes = ids.cast(pl.Categorical(pl.Categories.random())).to_physical().to_numpy().astype(np.int64)
    numbers, first_rows = _by_first_appearance(codes)
    return numbers, ids.gather(first_rows).to_list()


def _stable_order(numbers: Int64) -> Int64:
    """The permutation that sorts numbers from 0 to 2³¹ - 1, keeping the order of equal ones."""
    # One unstable sort of number and place in one word: half the time of polars' or numpy's stable ones.
    words = np.left_shift(numbers, 32)
    words |= np.arange(len(words))
    order: Int64 = pl.Series(words).sort().to_numpy() & 0xFFFF_FFFF
    return order


def _renumber(codes: Int64, names: list[str]) -> tuple[Int64, list[str]]:
    """Number the names still present by first appearance."""
    numbers, first_rows = _by_first_appearance(codes)
    return numbers, [names[code] for code in codes[first_rows]]


def _by_first_appearance(codes: Int64) -> tuple[Int64, Int64]:
    """Number codes (any, from 0) by first appearance: each row's number, and each number's first row."""
    n_codes = int(codes.max(initial=-1)) + 1
    first_row = np.full(n_codes, len(codes), dtype=np.int64)
    # Of equal indices the last assignment stays, which from the end is the first row.
    first_row[codes[::-1]] = np.arange(len(codes) - 1, -1, -1, dtype=np.int64)
    present = np.flatnonzero(first_row < len(codes))
    present = present[np.argsort(first_row[present])]
    number = np.full(n_codes, -1, dtype=np.int64)
    number[present] = np.arange(len(present))
    return number[codes], first_row[present]


def _k_core(users: Int64, items: Int64, n_users: int, n_items: int, k: int) -> npt.NDArray[np.bool_]:
    """bool[N]: the rows of the largest subset in which every user and every item has at least k rows."""
    kept = np.ones(len(users), dtype=np.bool_)
    while True:
        user_counts = np.bincount(users[kept], minlength=n_users)
        item_counts = np.bincount(items[kept], minlength=n_items)
        still = kept & (user_counts[users] >= k) & (item_counts[items] >= k)
        if np.array_equal(still, kept):
            return kept
        kept = still
