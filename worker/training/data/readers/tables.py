"""Cut a plain file into the columns asked for, and find the lines of its rows again.

Text cells stay strings, so that leading zeros and long numbers survive; parquet keeps its types.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import polars as pl

from worker.training.data.readers.faults import (
    bad_objects,
    broken_parquet,
    misfit,
    misfits,
    rows_of,
    undecodable,
    unreadable,
)
from worker.training.data.readers.problems import MAX_LINES_NAMED, UnreadableDataset
from worker.training.data.readers.sniff import Layout
from worker.training.data.readers.source import refuse

NO_SEPARATOR = "\x01"
"""Stands in no text file (source.py refuses such as binary): polars then reads whole lines."""


@dataclass(frozen=True)
class Table:
    """Columns named by role (user, item, maybe time and rating), as read, and `row`: 0-based row numbers.

    Blank lines have a number but are left out. lines_of: the 1-based lines of some row numbers (ascending).
    unit: what those are called, "line" or "row".
    """

    frame: pl.DataFrame
    lines_of: Callable[[Sequence[int]], list[int]]
    unit: str = "line"


def read_table(plain: Path, layout: Layout, columns: Mapping[str, str], max_rows: int | None) -> Table:
    """Read the columns `columns` (role → name) of a text file.

    Reads one row more than `max_rows`, so that the caller can tell. Raises UnreadableDataset naming the lines
    that do not fit the layout or are not UTF-8.
    """
    limit = None if max_rows is None else max_rows + 1
    if layout.format == "jsonl":
        return _read_jsonl(plain, columns, limit)
    if layout.format == "movielens":
        return _read_double_colon(plain, layout, columns, limit)
    schema = dict.fromkeys(layout.names, pl.String)
    picked = [pl.col(name).alias(role) for role, name in columns.items()]
    try:
        rows = pl.scan_csv(
            plain,
            has_header=False,
            schema=schema,
            separator=layout.separator,
            quote_char='"' if layout.quoted else None,
            skip_lines=layout.skip,
            n_rows=limit,
            missing_columns="insert",  # else the first line would decide how many cells a line may have
            glob=False,
        )
        frame = rows.select(picked).collect().with_row_index("row")
        if frame.select(pl.all_horizontal(pl.col(columns.keys()).is_null()).any()).item():
            # Rare: see whether the other columns of those rows are empty too, which makes them blank lines.
            blank = rows.select(pl.all_horizontal(pl.all().is_null()).alias("blank")).collect()["blank"]
            frame = frame.filter(~blank)
    except pl.exceptions.PolarsError as error:
        raise UnreadableDataset(misfits(plain, layout, str(error))) from error

    def lines_of(numbers: Sequence[int]) -> list[int]:
        if not layout.quoted:
            return [layout.skip + number + 1 for number in numbers]
        rows_before, at = rows_of(plain, layout), -1
        found = []
        for number in numbers:
            found += [line for line, _ in islice(rows_before, number - at - 1, number - at)]
            at = number
        return found

    return Table(frame, lines_of)


def read_lines(plain: Path, skip: int, limit: int | None = None) -> pl.DataFrame:
    """Read a text file as columns `line` (null where blank) and `number`, its 0-based count after `skip`."""
    try:
        lines = pl.scan_csv(
            plain,
            has_header=False,
            schema={"line": pl.String},
            separator=NO_SEPARATOR,
            quote_char=None,
            skip_lines=skip,
            n_rows=limit,
            glob=False,
        )
        return lines.with_row_index("number").collect()
    except pl.exceptions.PolarsError as error:
        raise UnreadableDataset(undecodable(plain) or [unreadable(str(error))]) from error


def read_tokens(plain: Path, layout: Layout, max_rows: int | None) -> tuple[Table, str]:
    """Read `user item item …` lines, one row an interaction, and say which it was: "sequence" or "pairs".

    Pairs are the case of one item on every line.
    """
    lines = read_lines(plain, layout.skip).rename({"number": "row"})
    tokens = lines.select("row", pl.col("line").str.extract_all(r"\S+").alias("tokens"))
    tokens = tokens.filter(pl.col("tokens").list.len() > 0)
    lengths = tokens["tokens"].list.len()
    pairs = bool((lengths == 2).all())
    if layout.format == "pairs" and not pairs:
        wrong = tokens.filter(lengths != 2)["row"]
        numbers = [layout.skip + 1 + row for row in wrong.head(MAX_LINES_NAMED)]
        raise UnreadableDataset([misfit(replace(layout, names=["user", "item"]), numbers, len(wrong))])
    total = int(lengths.sum()) - len(lengths)
    if max_rows is not None and total > max_rows:
        refuse("too_many_rows", f"{total:,} interactions; {max_rows:,} are allowed", "Upload fewer rows.")
    # An empty list would vanish; a user without an item has to be told of.
    items = pl.when(pl.col("tokens").list.len() > 1).then(pl.col("tokens").list.slice(1))
    frame = tokens.select("row", pl.col("tokens").list.first().alias("user"), items.alias("item")).explode(
        "item"
    )
    table = Table(frame, lambda rows: [layout.skip + 1 + row for row in rows])
    return table, "pairs" if pairs else "sequence"


def _read_double_colon(plain: Path, layout: Layout, columns: Mapping[str, str], limit: int | None) -> Table:
    lines = read_lines(plain, layout.skip, limit)
    width = len(layout.names)
    blank = pl.col("line").str.strip_chars().str.len_bytes() == 0
    wrong = lines.filter(~blank & (pl.col("line").str.count_matches("::", literal=True) != width - 1))
    if len(wrong):
        numbers = [layout.skip + 1 + number for number in wrong["number"].head(MAX_LINES_NAMED)]
        raise UnreadableDataset([misfit(layout, numbers, len(wrong))])
    cells = pl.col("line").str.split_exact("::", width - 1).struct
    picked = [cells.field(f"field_{layout.names.index(name)}").alias(role) for role, name in columns.items()]
    frame = lines.filter(~blank).select(pl.col("number").alias("row"), *picked)
    return Table(frame, lambda numbers: [layout.skip + number + 1 for number in numbers])


def _read_jsonl(plain: Path, columns: Mapping[str, str], limit: int | None) -> Table:
    try:
        # It takes a path for a pattern, and has no option to leave that.
        path = glob.escape(str(plain))
        rows = pl.scan_ndjson(path, schema=dict.fromkeys(columns.values(), pl.String), n_rows=limit)
        picked = [pl.col(name).alias(role) for role, name in columns.items()]
        frame = rows.select(picked).collect().with_row_index("row")
    except pl.exceptions.PolarsError as error:
        raise UnreadableDataset(bad_objects(plain, str(error))) from error

    def lines_of(numbers: Sequence[int]) -> list[int]:
        wanted, found, row = set(numbers), [], -1
        with plain.open("rb") as file:
            for line_number, line in enumerate(file, 1):
                row += bool(line.strip())
                if line.strip() and row in wanted:
                    found.append(line_number)
                    if len(found) == len(wanted):
                        break
        return found

    return Table(frame, lines_of)


def read_parquet(
    plain: Path, columns: Mapping[str, str], max_rows: int | None, max_bytes: int | None
) -> Table:
    """Read the columns `columns` (role → name) of a parquet file; the row count is checked first."""
    try:
        scan = pl.scan_parquet(plain, glob=False)
        n_rows = int(scan.select(pl.len()).collect().item())
        if max_rows is not None and n_rows > max_rows:
            refuse("too_many_rows", f"{n_rows:,} rows; {max_rows:,} are allowed", "Upload fewer rows.")
        # A few bytes of parquet can stand for any number of equal rows; a cell takes at least 16 here.
        if max_bytes is not None and n_rows * len(columns) * 16 > max_bytes:
            refuse(
                "decompressed_too_large", f"{n_rows:,} rows exceed {max_bytes:,} bytes", "Upload fewer rows."
            )
        picked = [pl.col(name).alias(role) for role, name in columns.items()]
        frame = scan.select(picked).collect().with_row_index("row")
    except pl.exceptions.PolarsError as error:
        raise UnreadableDataset([broken_parquet(str(error))]) from error
    return Table(frame, lambda numbers: [number + 1 for number in numbers], unit="row")


def parquet_columns(plain: Path) -> list[str]:
    """Return a parquet file's column names."""
    try:
        return pl.scan_parquet(plain, glob=False).collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UnreadableDataset([broken_parquet(str(error))]) from error
