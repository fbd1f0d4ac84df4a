"""Users who cannot be tested on, and users who may be no people."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from worker.training.data.sequences import Sequences
from worker.training.data.split import MIN_INTERACTIONS
from worker.training.doctor.findings import EXAMPLES, Finding, Fix, counted, percent
from worker.training.doctor.log import Bool, Log

LONG, LONG_TIMES_MEDIAN = 2000, 50
"""A history is very long with so many interactions, if the median user's is so many times shorter."""
REGULAR_LENGTH, REGULAR_VARIATION = 50, 0.1
"""Intervals are very regular if, over so many interactions, they vary by less than this part of the mean."""
HOURLY = 1000
"""Interactions within an hour that no hand makes."""
MANY_SHORT = 0.2
_HOUR = 3_600_000_000


def find_short(log: Log) -> list[Finding]:
    """Users with too few interactions for leave-one-out."""
    short = log.sequences.lengths < MIN_INTERACTIONS
    count = int(short.sum())
    if not count:
        return []
    share = count / len(short)
    return [
        Finding(
            "short_users",
            "warning" if share >= MANY_SHORT else "info",
            f"{counted(count, 'users')} ({percent(share)}) {'has' if count == 1 else 'have'} fewer than "
            f"{MIN_INTERACTIONS} interactions: learnt from, but neither chosen by nor tested on.",
            count,
            "users",
            share,
            rows=log.first_rows(log.sequences.offsets[:-1][short]),
            fix=Fix(
                "transform",
                "drop_short_users",
                f"Leave out users with fewer than {MIN_INTERACTIONS} interactions.",
            ),
        )
    ]


def bots(sequences: Sequences) -> Mapping[str, Bool]:
    """bool[U] for each sign of a program: long_history, regular_intervals, thousand_an_hour."""
    lengths = sequences.lengths
    signs = {"long_history": (lengths >= LONG) & (lengths >= LONG_TIMES_MEDIAN * np.median(lengths))}
    times = sequences.times
    if times is None:
        return signs
    users = np.repeat(np.arange(sequences.n_users), lengths)
    gaps = np.diff(times).astype(np.float64)
    inside = users[1:] == users[:-1]
    gaps, owner = gaps[inside], users[1:][inside]
    number = np.maximum(lengths - 1, 1)
    mean = np.bincount(owner, gaps, minlength=sequences.n_users) / number
    spread = np.bincount(owner, (gaps - mean[owner]) ** 2, minlength=sequences.n_users) / number
    even = (mean > 0) & (np.sqrt(spread) < REGULAR_VARIATION * mean)
    signs["regular_intervals"] = even & (lengths >= REGULAR_LENGTH)
    hurried = np.zeros(sequences.n_users, dtype=np.bool_)
    ahead = HOURLY - 1
    if len(times) > ahead:
        burst = (users[ahead:] == users[:-ahead]) & (times[ahead:] - times[:-ahead] <= _HOUR)
        hurried[users[ahead:][burst]] = True
    signs["thousand_an_hour"] = hurried
    return signs


def find_bots(log: Log) -> list[Finding]:
    """Users who behave as programs do."""
    signs = bots(log.sequences)
    suspects: Bool = np.logical_or.reduce(list(signs.values()))
    count = int(suspects.sum())
    if not count:
        return []
    theirs = int(log.sequences.lengths[suspects].sum())
    numbers = np.flatnonzero(suspects)
    by_length = numbers[np.argsort(-log.sequences.lengths[numbers], kind="stable")]
    return [
        Finding(
            "bot_like_users",
            "warning",
            f"{counted(count, 'users')} with {percent(theirs / log.sequences.n_interactions)} of all "
            f"interactions {'behaves' if count == 1 else 'behave'} as programs do: very long histories, very "
            "regular intervals, or a thousand interactions within an hour.",
            count,
            "users",
            count / log.sequences.n_users,
            rows=log.first_rows(log.sequences.offsets[:-1][suspects]),
            examples=[log.sequences.user_ids[user] for user in by_length[:EXAMPLES]],
            facts={"interactions": theirs, **{sign: int(users.sum()) for sign, users in signs.items()}},
            fix=Fix("transform", "drop_bots", "Leave these users out."),
        )
    ]
