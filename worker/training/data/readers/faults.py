"""Find the lines that made polars give up on a text file: slow, and run only then."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from worker.training.data.readers.problems import MAX_LINES_NAMED, Problem, about_lines
from worker.training.data.readers.sniff import Layout


def unreadable(reason: str) -> Problem:
    """Build the problem of a file of which polars says only `reason`, and no line can be named."""
    first = (reason.strip() or "no reason given").splitlines()[0][:200]
    hint = "Write the file again, or name its format."
    return Problem("malformed_row", f"the file cannot be read: {first}", "/", hint)


def broken_parquet(reason: str) -> Problem:
    """Build the problem of a parquet file that polars cannot open, for `reason`."""
    hint = "Write and upload the parquet file again; if it is none, name its format."
    return Problem(
        "broken_parquet", f"the parquet file cannot be read: {reason.splitlines()[0][:200]}", "/", hint
    )


def misfit(layout: Layout, lines: Sequence[int], count: int) -> Problem:
    """Build the problem of lines that do not have the layout's columns."""
    return about_lines(
        "malformed_row",
        f"another number of columns than {len(layout.names)}, or a quote that is not closed,",
        f"Give every line the {len(layout.names)} columns {', '.join(layout.names[:8])}, separated by "
        f"{layout.separator!r}.",
        lines,
        count,
    )


def misfits(plain: Path, layout: Layout, reason: str) -> list[Problem]:
    """Name the lines of a delimited file that are not UTF-8, or else have too many cells or an open quote.

    Too few cells are no fault while some row has them all.
    """
    width = len(layout.names)
    too_long, too_short = _Found(), _Found()
    for line, cells in rows_of(plain, layout, strict=True):
        if cells is None or len(cells) > width:
            too_long.add(line)
        elif cells and len(cells) < width:
            too_short.add(line)
    found = too_long if too_long.count else too_short
    fallback = misfit(layout, found.lines, found.count) if found.count else unreadable(reason)
    return undecodable(plain) or [fallback]


def rows_of(plain: Path, layout: Layout, *, strict: bool = False) -> Iterator[tuple[int, list[str] | None]]:
    """Yield each row's first line and its cells, a blank line being an empty row, as it is to polars.

    None, and the end, where a quote goes wrong (strict) or a cell is too long for the csv module.
    """
    with plain.open(encoding="utf-8", errors="replace", newline="") as file:
        for _ in range(layout.skip):
            file.readline()
        reader = csv.reader(
            file,
            delimiter=layout.separator,
            quoting=csv.QUOTE_MINIMAL if layout.quoted else csv.QUOTE_NONE,
            strict=strict,
        )
        while True:
            line = layout.skip + reader.line_num + 1
            try:
                yield line, next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield line, None
                return


def undecodable(plain: Path) -> list[Problem]:
    """Name the lines that are not UTF-8, if there are any."""
    found = _Found()
    with plain.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                found.add(number)
    if not found.count:
        return []
    hint = "Save the file as UTF-8."
    return [about_lines("bad_encoding", "text that is not UTF-8", hint, found.lines, found.count)]


def bad_objects(plain: Path, reason: str) -> list[Problem]:
    """Name the lines that are not UTF-8, or else not one JSON object."""
    found = _Found()
    with plain.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if line.strip() and not _is_object(line):
                found.add(number)
    hint = "Write one whole JSON object on every line."
    fallback = unreadable(reason)
    if found.count:
        fallback = about_lines("malformed_row", "no JSON object", hint, found.lines, found.count)
    return undecodable(plain) or [fallback]


def _is_object(line: str) -> bool:
    try:
        # NaN and Infinity, which Python would take, are no JSON.
        return isinstance(json.loads(line, parse_constant=_refuse_constant), dict)
    except (ValueError, RecursionError):
        return False


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


class _Found:
    """Counts lines and keeps the first few."""

    def __init__(self) -> None:
        self.lines: list[int] = []
        self.count = 0

    def add(self, line: int) -> None:
        """Note one more."""
        self.count += 1
        if len(self.lines) < MAX_LINES_NAMED:
            self.lines.append(line)
