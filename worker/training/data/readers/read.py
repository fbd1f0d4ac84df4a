"""Read a log of interactions in any of the formats, and say everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from worker.training.data.readers.checks import to_interactions
from worker.training.data.readers.columns import ROLES, guess_by_name, guess_by_value
from worker.training.data.readers.problems import Problem, UnreadableDataset
from worker.training.data.readers.result import OpenFile, ReadOptions, ReadResult
from worker.training.data.readers.sniff import FORMATS, Layout, sniff
from worker.training.data.readers.source import is_parquet, may_hold_nul, plain_file, refuse, sample_lines
from worker.training.data.readers.tables import Table, parquet_columns, read_parquet, read_table, read_tokens

__all__ = ["OpenFile", "Problem", "ReadOptions", "ReadResult", "UnreadableDataset", "read_interactions"]


def read_interactions(
    path: Path,
    options: ReadOptions,
    *,
    filename: str | None = None,
    inspect: Callable[[OpenFile], None] | None = None,
) -> ReadResult:
    """Read the file at `path`, plain, gzip or zstd; `filename` is what its owner called it.

    `inspect` is called once the file was read and before its decompressed content is removed. Raises
    UnreadableDataset with every problem found, if any of them is an error.
    """
    if options.format is not None and options.format not in FORMATS:
        refuse("unknown_format", f"no format {options.format!r}", f"One of {', '.join(FORMATS)}.", "/format")
    with plain_file(path, options.max_bytes) as plain:
        table, format, columns, remarks = _read(plain, options, filename or path.name)
        result = to_interactions(table, format, columns, options, remarks, nul=may_hold_nul(plain, format))
        lines_of, unit = table.lines_of, table.unit
        del table  # its cells, which what looks closer needs the memory of
        if inspect is not None:
            inspect(OpenFile(result, plain, lines_of, unit))
    return result


def _read(
    plain: Path, options: ReadOptions, filename: str
) -> tuple[Table, str, dict[str, str | None], list[Problem]]:
    """The table, its format, which column has which role, and what is to be remarked."""
    if options.format == "parquet" or (options.format is None and is_parquet(plain)):
        columns = _choose(parquet_columns(plain), options.named(), None)
        picked = {role: name for role, name in columns.items() if name is not None}
        return read_parquet(plain, picked, options.max_rows, options.max_bytes), "parquet", columns, []
    layout = sniff(
        sample_lines(plain),
        given=options.format,
        filename=filename,
        wanted=[name for name in options.named().values() if name is not None],
    )
    if layout.format in ("sequence", "pairs"):
        table, format = read_tokens(plain, layout, options.max_rows)
        return table, format, {"user": "user", "item": "item", "time": None, "rating": None}, []
    columns = _choose(layout.names, options.named(), layout)
    picked = {role: name for role, name in columns.items() if name is not None}
    table = read_table(plain, layout, picked, options.max_rows)
    return table, layout.format, columns, [] if layout.header else [_no_header(columns)]


def _choose(
    names: Sequence[str], said: Mapping[str, str | None], layout: Layout | None
) -> dict[str, str | None]:
    """Give every role a column (or None); what was said goes before any guess."""
    problems = []
    named = dict(said)
    for role, name in said.items():
        # RecBole's "user_id:token" may be called "user_id".
        found = [given for given in names if name in (given, given.split(":")[0])]
        if name is not None and not found:
            problems.append(
                Problem(
                    code="missing_columns",
                    message=f"there is no column {name!r}; the columns are {_listed(names)}",
                    pointer=f"/columns/{role}",
                    hint="Name one of the file's columns (column_1, column_2, … where it has no header).",
                )
            )
        elif found:
            named[role] = found[0]
    chosen = [name for name in named.values() if name is not None]
    if len(set(chosen)) < len(chosen):
        problems.append(
            Problem("same_column", "one column is named for two roles", "/columns", "Name different columns.")
        )
    if layout is not None and not layout.header:
        guess = guess_by_value(names, layout.rows, named)
    else:
        guess = guess_by_name(names, named)
    columns = {role: named.get(role, guess.get(role)) for role in ROLES}
    problems += [
        Problem(
            code="missing_columns",
            message=f"no {role} column was recognised among {_listed(names)}",
            pointer=f"/columns/{role}",
            hint=f"Say which it is by {role}_column (column_1, column_2, … if the file has no header).",
        )
        for role in ("user", "item")
        if columns[role] is None and named.get(role) is None
    ]
    if problems:
        raise UnreadableDataset(problems)
    return columns


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:30]) + (", …" if len(names) > 30 else "")


def _no_header(columns: Mapping[str, str | None]) -> Problem:
    taken = ", ".join(f"{name} as {role}" for role, name in columns.items() if name)
    return Problem(
        code="no_header",
        message=f"the file has no header; took {taken}",
        pointer="/columns",
        hint="If that is wrong, name the columns: user_column=column_2 and so on.",
        severity="warning",
    )
