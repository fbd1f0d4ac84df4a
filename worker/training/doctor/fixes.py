"""The fixes that make another log out of one, each by its name."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from worker.training.data.readers.values import UTC_MICROSECONDS
from worker.training.data.sequences import number_ids
from worker.training.data.split import MIN_INTERACTIONS
from worker.training.doctor.ids import REWRITINGS, Writing
from worker.training.doctor.log import Bool, log_of
from worker.training.doctor.repeats import duplicates
from worker.training.doctor.times import rescaled
from worker.training.doctor.users import bots

Transform = Callable[[pl.DataFrame, datetime], pl.DataFrame]
_PSEUDONYM_LETTERS = 32
"""Of SHA-256 in hex: 128 bits, by which no two users meet."""


def transform(
    interactions: pl.DataFrame, names: Sequence[str], *, now: datetime
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """Apply transforms in the order given; also what each did, in counts.

    The result is in time order, as `read_interactions` leaves it. KeyError for a name that is none.
    """
    done = []
    for name in names:
        before = interactions
        interactions = TRANSFORMS[name](before, now)
        done.append(
            {
                "name": name,
                "interactions_before": len(before),
                "interactions_after": len(interactions),
                "interactions_changed": _changed(before, interactions),
            }
        )
    return interactions, done


def _changed(before: pl.DataFrame, after: pl.DataFrame) -> int:
    """How many interactions were altered, where none was taken away."""
    if len(before) != len(after):
        return 0
    different = pl.any_horizontal(
        *(pl.col(name).ne_missing(after[name]) for name in ("user", "item")),
    )
    if "timestamp" in before.columns:
        # Rewritten times may have moved the rows, so that they no longer stand side by side.
        moved = int((before["timestamp"].sort() != after["timestamp"].sort()).sum())
        if moved:
            return moved
    return int(before.select(different.sum()).item())


def _drop_duplicates(interactions: pl.DataFrame, now: datetime) -> pl.DataFrame:
    log = log_of(interactions, now=now)
    return _without(interactions, log.order[duplicates(log)])


def _drop_future(interactions: pl.DataFrame, now: datetime) -> pl.DataFrame:
    return (
        interactions.filter(pl.col("timestamp") <= now)
        if "timestamp" in interactions.columns
        else interactions
    )


def _rescale_times(interactions: pl.DataFrame, now: datetime) -> pl.DataFrame:
    if "timestamp" not in interactions.columns:
        return interactions
    times = interactions["timestamp"].dt.timestamp("us").to_numpy().astype(np.int64)
    mended = pl.Series("timestamp", rescaled(times, int(now.timestamp() * 1e6))).cast(UTC_MICROSECONDS)
    return interactions.with_columns(mended).sort("timestamp", maintain_order=True)


def _drop_short_users(interactions: pl.DataFrame, now: datetime) -> pl.DataFrame:
    return interactions.filter(pl.len().over("user") >= MIN_INTERACTIONS)


def _drop_bots(interactions: pl.DataFrame, now: datetime) -> pl.DataFrame:
    log = log_of(interactions, now=now)
    suspects: Bool = np.logical_or.reduce(list(bots(log.sequences).values()))
    return _without(interactions, log.order[suspects[log.user_of]])


def _hash_ids(interactions: pl.DataFrame, now: datetime) -> pl.DataFrame:
    salt = secrets.token_bytes(32)  # lives as long as this call: nobody can find an id's pseudonym again
    numbers, ids = number_ids(interactions["user"])
    names = [hashlib.sha256(salt + text.encode()).hexdigest()[:_PSEUDONYM_LETTERS] for text in ids]
    return interactions.with_columns(pl.Series("user", names, dtype=pl.String).gather(numbers).alias("user"))


def _rewrite(interactions: pl.DataFrame, now: datetime, *, writing: Writing) -> pl.DataFrame:
    rewritten = interactions.with_columns(writing(pl.col(role)).alias(role) for role in ("user", "item"))
    # An id of nothing but what is removed would be none.
    kept = (
        pl.when(pl.col(role) != "").then(pl.col(role)).otherwise(interactions[role])
        for role in ("user", "item")
    )
    return rewritten.with_columns(*kept)


def _without(interactions: pl.DataFrame, rows: np.ndarray[Any, np.dtype[np.int64]]) -> pl.DataFrame:
    kept = np.ones(len(interactions), dtype=np.bool_)
    kept[rows] = False
    return interactions.filter(pl.Series(kept))


TRANSFORMS: Mapping[str, Transform] = {
    "drop_duplicates": _drop_duplicates,
    "drop_future": _drop_future,
    "drop_short_users": _drop_short_users,
    "drop_bots": _drop_bots,
    "rescale_times": _rescale_times,
    "hash_ids": _hash_ids,
    **{name: partial(_rewrite, writing=writing) for name, writing in REWRITINGS.items()},
}
