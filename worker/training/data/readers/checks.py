"""From a table's cells to interactions: every fault is found before any is raised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from worker.training.data.readers.problems import MAX_LINES_NAMED, Problem, UnreadableDataset, about_lines
from worker.training.data.readers.result import ReadOptions, ReadResult
from worker.training.data.readers.source import refuse
from worker.training.data.readers.tables import Table
from worker.training.data.readers.values import as_ids, as_ratings, as_times

MIN_INTERACTIONS = 3
"""Of at least one user: one to learn from, one to choose a model by, one to test it on."""


def to_interactions(
    table: Table,
    format: str,
    columns: dict[str, str | None],
    options: ReadOptions,
    remarks: Sequence[Problem],
    *,
    nul: bool,
) -> ReadResult:
    """Parse, check, sort and count. `columns` says which column each role was read from (role → name).

    nul: whether an id may hold that character (see `may_hold_nul`).

    Raises UnreadableDataset with every problem found, if any is an error.
    """
    frame, problems = table.frame, list(remarks)
    if frame.is_empty():
        refuse("empty_file", "the file holds no row of data", "Upload one interaction a line.")
    if options.max_rows is not None and len(frame) > options.max_rows:
        refuse("too_many_rows", f"more than {options.max_rows:,} rows", "Upload fewer rows.")
    nested = [role for role in frame.columns if frame[role].dtype.is_nested()]
    if nested:
        refuse(
            "unusable_column",
            f"{columns[nested[0]]} holds lists",
            "Write one value a cell.",
            f"/columns/{nested[0]}",
        )

    def report(code: str, what: str, hint: str, bad: pl.Series, severity: Any = "error") -> None:
        rows = frame["row"].filter(bad)
        if len(rows):
            lines = table.lines_of(rows.head(MAX_LINES_NAMED).to_list())
            problems.append(
                about_lines(code, what, hint, lines, len(rows), unit=table.unit, severity=severity)
            )

    cells = {role: as_ids(frame[role]) for role in ("user", "item")}
    for role, ids in cells.items():
        report("missing_id", f"no {role} id", f"Fill in the {role} or drop the row.", ids.is_null())
        if nul:
            bad = ids.str.contains("\0", literal=True).fill_null(False)
            what = f"a NUL character, or half of a surrogate pair, in the {role} id"
            report("nul_in_id", what, "Write the id without U+0000, and both halves of a pair.", bad)
    if "time" in frame.columns:
        cells["timestamp"] = as_times(frame["time"])
        bad = cells["timestamp"].is_null()
        what = f"no readable time in {columns['time']!r}{_example(frame['time'], bad)}"
        hint = "Write Unix seconds or milliseconds, or ISO 8601; or name another time_column."
        report("unreadable_time", what, hint, bad)
    elif format != "sequence":
        problems.append(
            Problem(
                code="no_time",
                message="there is no time column: the file's order is taken for the order in time",
                pointer="/columns/time",
                hint="Add a timestamp column, or make sure that each user's rows are in order.",
                severity="warning",
            )
        )
    if "rating" in frame.columns:
        ratings = as_ratings(frame["rating"])
        bad = ratings.is_null() & frame["rating"].is_not_null()
        what = f"no readable number in {columns['rating']!r}{_example(frame['rating'], bad)}"
        if options.rating_column or not bad.any():
            report("unreadable_rating", what, "Write plain numbers, or leave rating_column out.", bad)
            cells["rating"] = ratings
        else:
            hint = "The column is left out. Write plain numbers, or name another rating_column."
            report("unreadable_rating", what, hint, bad, "warning")
            columns["rating"] = None
    if any(problem.severity == "error" for problem in problems):
        raise UnreadableDataset(problems)
    interactions = pl.DataFrame({name: values.alias(name) for name, values in cells.items()})
    rows = frame["row"]
    # Before sorting, which scatters the ids' bytes over memory: counting them then takes four times as long.
    stats = stats_of(interactions, problems)
    if "timestamp" in cells and not interactions["timestamp"].is_sorted():
        # In one piece: gathering rows out of the reader's many pieces takes twice as long.
        interactions = interactions.with_columns(rows).rechunk().sort("timestamp", maintain_order=True)
        rows = interactions["row"]
        interactions = interactions.drop("row")
    return ReadResult(
        interactions=interactions,
        format=format,
        columns={**columns, "guessed": _guessed(columns, options, format)},
        stats=stats,
        problems=problems,
        rows=rows,
    )


def _guessed(columns: Mapping[str, str | None], options: ReadOptions, format: str) -> bool:
    said = options.named()
    return format not in ("sequence", "pairs") and any(
        name and role not in said for role, name in columns.items()
    )


def _example(cells: pl.Series, bad: pl.Series) -> str:
    shown = cells.filter(bad).drop_nulls().head(1)
    return f" (such as {str(shown[0])[:40]!r})" if len(shown) else ""


def stats_of(interactions: pl.DataFrame, problems: Sequence[Problem]) -> dict[str, Any]:
    """Count (see `ReadResult.stats`).

    Refuses a log in which nobody has enough interactions to learn from and be tested on.
    """
    # By 64-bit hashes, in a fifth of the time: two of ten million ids count as one by a chance of 3 in 10⁶.
    users, items = interactions.select(pl.col("user", "item").hash().n_unique()).row(0)
    # More than two rows a user on average: somebody has three, and nobody's rows need be counted.
    enough = len(interactions) > users * (MIN_INTERACTIONS - 1)
    if not enough and interactions["user"].value_counts()["count"].max() < MIN_INTERACTIONS:  # type: ignore[operator]
        few = Problem(
            code="too_few_interactions",
            message=f"no user has {MIN_INTERACTIONS} interactions: one to learn from and two to be tested on",
            pointer="/columns/user",
            hint="Upload longer histories, or check that the right column was taken for the user.",
        )
        raise UnreadableDataset([*problems, few])
    times = interactions["timestamp"] if "timestamp" in interactions.columns else None
    return {
        "users": users,
        "items": items,
        "interactions": len(interactions),
        "first_at": _moment(times.min()) if times is not None else None,
        "last_at": _moment(times.max()) if times is not None else None,
    }


def _moment(time: object) -> str:
    assert isinstance(time, datetime), time  # noqa: S101 - a column of times without a null
    return time.isoformat().replace("+00:00", "Z")
