"""Times that say less, or something else, than they seem to."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from worker.training.data.sequences import Int64
from worker.training.data.temporal import moment_text
from worker.training.doctor.findings import EXAMPLES, Finding, Fix, counted, percent
from worker.training.doctor.log import Bool, Log

EARLIEST = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp() * 1e6)
"""Before this few services logged anything; it is what wrong units and filled gaps (0) look like."""
MANY_TIES = 0.05
FACTORS = (1_000, 1_000_000, 1_000_000_000)
RESCALE = Fix(
    "transform",
    "rescale_times",
    "Multiply times before 1990 by the power of 1,000 that brings them between 1990 and now, if one does.",
)
DROP_FUTURE = Fix("transform", "drop_future", "Leave out interactions whose time lies in the future.")


def find_ties(log: Log) -> list[Finding]:
    """Runs of equal times within a user, whose order is a matter of the file's."""
    times, ties = log.sequences.times, log.ties
    if times is None or not ties.any():
        return []
    in_run = ties.copy()
    in_run[:-1] |= ties[1:]
    count, total = int(in_run.sum()), len(ties)
    long_enough = log.sequences.lengths >= 3
    last_tied = ties[log.sequences.offsets[1:] - 1] & long_enough
    tied_users = float(last_tied.sum() / max(1, long_enough.sum()))
    return [
        Finding(
            "equal_times",
            "warning" if tied_users >= MANY_TIES else "info",
            f"{percent(count / total)} of interactions share their time with another one of the same user, "
            f"so that their order is the file's. The last two of {percent(tied_users)} of users are tied: "
            "which of them is the test target is a matter of the file's order.",
            count,
            "interactions",
            count / total,
            rows=log.first_rows(in_run),
            facts={
                "runs": int((in_run & ~ties).sum()),
                "users_last_two_tied": int(last_tied.sum()),
                "users_last_two_tied_share": tied_users,
            },
        )
    ]


def find_disorder(log: Log) -> list[Finding]:
    """Users' rows that do not stand in time order in the file; they were sorted."""
    if log.sequences.times is None:
        return []
    moved = log.continues.copy()
    moved[1:] &= log.rows[1:] < log.rows[:-1]
    if not moved.any():
        return []  # each user's time order is the file's
    by_file = np.lexsort((log.rows, log.user_of))
    times = log.sequences.times[by_file]
    back = log.continues.copy()
    back[1:] &= times[1:] < times[:-1]
    count = int(back.sum())
    if not count:
        return []
    return [
        Finding(
            "unordered_times",
            "info",
            f"{counted(count, 'interactions')} ({percent(count / len(back))}) "
            f"{'stands' if count == 1 else 'stand'} in the file after a later one of the same "
            "user. They were sorted by time; nothing "
            "is to be done unless the file's order is the true one.",
            count,
            "interactions",
            count / len(back),
            rows=log.first_rows(by_file[back]),
        )
    ]


def rescaled(times: Int64, now: int) -> Int64:
    """Times with those before 1990 brought to the unit in which they are believable, where there is one.

    A column has one unit to the reader: seconds among milliseconds become times of January 1970. The other
    way round they are no times at all, which the reader refuses.
    """
    mended = times.copy()
    for factor in FACTORS:
        early = (mended > 0) & (mended < EARLIEST) & (mended <= now // factor)
        larger = np.where(early, mended, 0) * factor
        mended = np.where(larger >= EARLIEST, larger, mended)
    return mended


def find_implausible(log: Log) -> list[Finding]:
    """Times in the future, and times before 1990."""
    times = log.sequences.times
    if times is None:
        return []
    found = []
    future, early = times > log.now, times < EARLIEST
    if future.any():
        found.append(
            _implausible(log, "future_times", future, "lies after the moment of reading", DROP_FUTURE)
        )
    if early.any():
        mended = int((rescaled(times, log.now) != times).sum())
        what = "lies before 1990"
        if mended:
            what += f"; {mended:,} of them would be believable in another unit (seconds among milliseconds)"
        found.append(_implausible(log, "early_times", early, what, RESCALE if mended else None))
    return found


def _implausible(log: Log, code: str, bad: Bool, what: str, fix: Fix | None) -> Finding:
    assert log.sequences.times is not None  # noqa: S101 - the caller has looked
    count = int(bad.sum())
    shown = np.sort(log.sequences.times[bad])[:EXAMPLES]
    return Finding(
        code,
        "warning",
        f"The time of {counted(count, 'interactions')} {what}. The order of a history, and any split in "
        "time, depend on it.",
        count,
        "interactions",
        count / len(bad),
        rows=log.first_rows(bad),
        examples=[moment_text(int(time)) for time in shown],
        fix=fix,
    )
