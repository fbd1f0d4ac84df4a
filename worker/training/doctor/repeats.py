"""Interactions that stand in a log twice, and items that users come back to."""

from __future__ import annotations

import numpy as np
import polars as pl

from worker.training.doctor.findings import Finding, Fix, counted, percent
from worker.training.doctor.log import Bool, Log

DROP_DUPLICATES = Fix(
    "transform", "drop_duplicates", "Keep the first of interactions that are equal in every column."
)
MANY_REPEATS = 0.1


def duplicates(log: Log) -> Bool:
    """bool[N]: an equal interaction (user, item, time, rating) stands before this one.

    Without times an interaction equals another only if it follows it at once: a later one is a return.
    """
    items = log.sequences.items
    if log.sequences.times is None:
        again = log.continues.copy()
        again[1:] &= items[1:] == items[:-1]
        if log.ratings is not None:
            unrated = np.isnan(log.ratings)
            again[1:] &= (log.ratings[1:] == log.ratings[:-1]) | (unrated[1:] & unrated[:-1])
        return again
    again = np.zeros(len(items), dtype=np.bool_)
    in_run = log.ties.copy()  # equal interactions are at equal times: nothing else need be compared
    in_run[:-1] |= log.ties[1:]
    at = np.flatnonzero(in_run)
    if not len(at):
        return again
    columns = {"user": log.user_of[at], "item": items[at], "time": log.sequences.times[at]}
    if log.ratings is not None:
        columns["rating"] = log.ratings[at]
    frame = pl.DataFrame(columns)
    firsts = frame.with_row_index("at").unique(subset=list(columns), keep="first")["at"].to_numpy()
    again[at] = True
    again[at[firsts]] = False
    return again


def find_duplicates(log: Log) -> list[Finding]:
    """Exact duplicates."""
    again = duplicates(log)
    count = int(again.sum())
    if not count:
        return []
    share = count / len(again)
    how = "equal to an earlier one in user, item and time"
    if log.sequences.times is None:
        how = "equal to the user's one before it"
    return [
        Finding(
            "duplicates",
            "warning",
            f"{counted(count, 'interactions')} ({percent(share)}) {'is' if count == 1 else 'are'} {how}: an "
            "event that was logged twice teaches that an item follows itself.",
            count,
            "interactions",
            share,
            rows=log.first_rows(again),
            fix=DROP_DUPLICATES,
        )
    ]


def find_repeat_consumption(log: Log) -> list[Finding]:
    """How often users come back to an item that they had before; exact duplicates do not count."""
    sequences = log.sequences
    kept = ~duplicates(log)
    pairs = log.user_of.astype(np.int64) * (sequences.n_items + 1) + sequences.items
    first = pl.Series(pairs).is_first_distinct().to_numpy()
    returns = kept & ~first
    count, total = int(returns.sum()), int(kept.sum())
    share = count / total
    many = share >= MANY_REPEATS
    return [
        Finding(
            "repeat_consumption",
            "warning" if many else "info",
            f"{percent(share)} of interactions are with an item that the user had before."
            + (" Recommendations leave seen items out unless told otherwise." if many else ""),
            count,
            "interactions",
            share,
            rows=log.first_rows(returns),
            fix=Fix("setting", "exclude_seen", "Let items of the history be recommended again.", False)
            if many
            else None,
        )
    ]
