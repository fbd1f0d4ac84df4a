"""Guess a text file's format from its first lines; the file name only breaks ties.

Formats: "csv" (separated by , ; or |), "tsv" (tab or spaces), "inter" (RecBole: a header of name:type),
"movielens" (separated by ::), "jsonl" (one object a line), "sequence" (`user item item …`) and "pairs" (`user
item`).
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from worker.training.data.readers.columns import guess_by_name, is_time, looks_like_header, normalise
from worker.training.data.readers.source import refuse

TEXT_FORMATS = ("csv", "tsv", "inter", "movielens", "jsonl", "sequence", "pairs")
FORMATS = (*TEXT_FORMATS, "parquet")
LINES_LOOKED_AT = 200
INTER_CELL = re.compile(r"[^:\s]+:(token|token_seq|float|float_seq)")
SEPARATORS = {"csv": (",", ";", "|"), "tsv": ("\t", " "), "inter": ("\t", ",", " "), "movielens": ("::",)}


@dataclass(frozen=True)
class Layout:
    """How to cut a text file into cells.

    names: the columns (empty for sequence and pairs); header: whether the file itself names them, else they
    are column_1, column_2, …. skip: physical lines before the first row of data. quoted: cells may be in
    double quotes. rows: the sample's rows of data.
    """

    format: str
    separator: str
    names: list[str]
    header: bool
    skip: int
    quoted: bool
    rows: list[list[str]]


def sniff(lines: Sequence[str], *, given: str | None, filename: str, wanted: Sequence[str]) -> Layout:
    """Guess the layout from the sample; `given` fixes the format, `wanted` are columns that were asked for.

    Raises UnreadableDataset when nothing fits.
    """
    blank = next(i for i, line in enumerate(lines) if line.strip())
    sample = [line for line in lines[blank:] if line.strip()][:LINES_LOOKED_AT]
    if given == "jsonl" or (given is None and sample[0].lstrip().startswith("{")):
        return _jsonl(sample)
    if given is None and sample[0].lstrip().startswith("["):
        refuse(
            "json_array", "the file is one JSON array", "Write one JSON object a line (jsonl).", "/lines/1"
        )
    if given is None and sample[0].lstrip().startswith("<"):
        refuse("not_interactions", "the file is HTML or XML", "Upload a log of interactions.", "/lines/1")
    if given in ("sequence", "pairs"):
        return _tokens(sample, given, blank)
    for format, separator in _candidates(given, filename):
        layout = _delimited(sample, format, separator, blank, wanted, forced=given is not None)
        if layout is not None:
            return layout
    if given is None and len(sample[0].split()) > 1:
        return _tokens(sample, "sequence", blank)
    return refuse(
        "missing_columns",
        f"only one column was found: {sample[0][:80]!r}",
        "Separate the columns by a comma, a tab, ';', '|' or '::', or name the file's format.",
        "/format" if given else "/columns",
    )


def split_row(line: str, separator: str, quoted: bool) -> list[str]:
    """Cut one line into cells."""
    if quoted and '"' in line:
        try:
            return next(csv.reader([line], delimiter=separator), [])
        except csv.Error:
            return line.split(separator)
    return line.split(separator)


def _candidates(given: str | None, filename: str) -> list[tuple[str, str]]:
    """List (format, separator), the likeliest first."""
    if given is not None:
        return [(given, separator) for separator in SEPARATORS[given]]
    commas, tab = [("csv", separator) for separator in SEPARATORS["csv"]], [("tsv", "\t")]
    typed = [("inter", separator) for separator in SEPARATORS["inter"]]
    by_name = commas + tab if ".csv" in filename.lower() else tab + commas
    return [*typed, ("movielens", "::"), *by_name, ("tsv", " ")]


def _delimited(
    sample: Sequence[str], format: str, separator: str, blank: int, wanted: Sequence[str], *, forced: bool
) -> Layout | None:
    """Return the layout if most lines have as many cells as the first, which has at least two; else None."""
    quoted = format == "csv" or (format == "tsv" and separator == "\t" and '"' in sample[0])
    rows = [split_row(line, separator, quoted) for line in sample]
    width = len(rows[0])
    typed = all(INTER_CELL.fullmatch(cell.strip()) for cell in rows[0])
    header = True if typed else looks_like_header(rows, wanted)
    alike = sum(len(row) == width for row in rows)
    if width < 2 or (format == "inter" and not (typed or forced)):
        return None
    if alike * 2 <= len(rows) and not (header and {"user", "item"} <= guess_by_name(rows[0]).keys()):
        return None
    if format == "tsv" and not forced and not header and not _is_table(rows, separator, wanted):
        return None
    if header is None:
        header = True
    if any(name in _numbered(width) for name in wanted) and not any(name in rows[0] for name in wanted):
        header = False
    return Layout(
        format=format,
        separator=separator,
        names=_distinct(rows[0]) if header else _numbered(width),
        header=header,
        skip=blank + int(header),
        quoted=quoted,
        rows=rows[1:] if header else rows,
    )


def _is_table(rows: Sequence[Sequence[str]], separator: str, wanted: Sequence[str]) -> bool:
    """Tell a tab- or space-separated table without a header from sequence text and pairs.

    It has three to five cells everywhere, and for spaces the last one is a time.
    """
    width = len(rows[0])
    if any(name in _numbered(width) for name in wanted):
        return True
    if not 3 <= width <= 5 or any(len(row) != width for row in rows):
        return False
    return separator == "\t" or all(is_time(row[-1].strip()) for row in rows)


def _numbered(width: int) -> list[str]:
    return [f"column_{n}" for n in range(1, width + 1)]


def _distinct(names: Sequence[str]) -> list[str]:
    """Give a name that stands twice in a header a number, so that columns can be told apart."""
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        clean = name.strip()
        seen[clean] += 1
        distinct.append(clean if seen[clean] == 1 else f"{clean}_{seen[clean]}")
    return distinct


def _jsonl(sample: Sequence[str]) -> Layout:
    names: dict[str, None] = {}
    for line in sample:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            names.update(dict.fromkeys(row))
    return Layout("jsonl", "", list(names), header=True, skip=0, quoted=False, rows=[])


def _tokens(sample: Sequence[str], format: str, blank: int) -> Layout:
    """Sequence text or pairs, which have no columns; a first line that only names them is skipped."""
    rows = [line.split() for line in sample]
    header = len(rows[0]) == 2 and normalise(rows[0][0]) in ("user", "userid")
    return Layout(format, " ", [], header=header, skip=blank + int(header), quoted=False, rows=rows)
