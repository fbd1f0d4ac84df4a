"""What commands write: tables for people, JSON for scripts (`--json`), both on stdout."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from app.console import new_console
from app.sdk.answers.deletions import Deleted
from app.sdk.client import SteadyRank

AsJson = Annotated[bool, typer.Option("--json", help="Print the service's JSON instead of a table.")]
IdempotencyKey = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Of your own making; used again within a day, it gives the same one."),
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="Show at most this many.")]

T = TypeVar("T")

_LARGEST_PAGE = 100
_GAP, _LEAST = 2, 4
_WHOLE = frozenset({"id", "status", "done", "version", "seed", "users", "items", "interactions", "NDCG@10"})
_STATUS_COLOURS = {
    "ready": "green",
    "succeeded": "green",
    "rejected": "red",
    "failed": "red",
    "cancelled": "yellow",
    "cancelling": "yellow",
    "pausing": "yellow",
    "paused": "yellow",
    "running": "cyan",
}


def connect(ctx: typer.Context) -> SteadyRank:
    """A client of the service that the command line names, or that is found."""
    return SteadyRank(ctx.find_root().params.get("url"))


def newest(listing: Callable[..., Iterator[T]], *given: Any, limit: int, **query: Any) -> list[T]:
    """The first `limit` of a listing of the SDK, asked for in pages no larger than needed."""
    return list(islice(listing(*given, **query, page_size=min(limit, _LARGEST_PAGE)), limit))


def print_json(value: Any) -> None:
    """Print JSON, never wrapped or coloured."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def print_freed(answer: Deleted, what: str, as_json: bool, *, verb: str = "Deleted") -> None:
    """Print the service's answer to a delete: what is gone, and how many bytes that freed."""
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{verb} {what}; {size_text(answer['freed_bytes'])} came free.")


def print_rows(headings: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """Print a table; `empty` is said instead when there is no row. Cells may hold rich markup."""
    cells, out = list(rows), _stdout()
    if not cells:
        out.print(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, width in zip(headings, _widths(headings, cells, out.width), strict=True):
        least = width if heading in _WHOLE else None
        table.add_column(heading, no_wrap=True, min_width=least, max_width=width)
    for row in cells:
        table.add_row(*row)
    out.print(table)


def _widths(headings: Sequence[str], cells: Sequence[Sequence[str]], room: int) -> list[int]:
    """Columns' widths: an id, a status or a figure cut short is no use; the others share what is left."""
    longest = [
        max(len(heading), *(Text.from_markup(row[index], emoji=False).cell_len for row in cells))
        for index, heading in enumerate(headings)
    ]
    left = room - _GAP * (len(headings) - 1)
    left -= sum(width for heading, width in zip(headings, longest, strict=True) if heading in _WHOLE)
    widths = list(longest)
    others = [index for index, heading in enumerate(headings) if heading not in _WHOLE]
    for done, index in enumerate(sorted(others, key=lambda index: longest[index])):
        widths[index] = min(longest[index], max(_LEAST, left // (len(others) - done)))
        left -= widths[index]
    return widths


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print one thing's fields, one a line, leaving out empty ones. Values may hold rich markup."""
    grid = Table.grid(padding=(0, 2))
    for name, value in fields:
        if value:
            grid.add_row(f"[dim]{name}[/]", value)
    _stdout().print(grid)


def _stdout() -> Console:
    """Standard output: as wide as the terminal, or wide enough for a whole row in a pipe or file."""
    console = new_console()
    return console if console.is_terminal or "COLUMNS" in os.environ else new_console(width=240)


def status_text(status: str) -> str:
    """A status in its colour."""
    colour = _STATUS_COLOURS.get(status)
    return f"[{colour}]{status}[/]" if colour else escape(status)


def time_text(at: datetime | None) -> str:
    """A time on this machine's clock, to the minute."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M") if at else ""


def size_text(size: int) -> str:
    """Bytes for people: 1.9 MB."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def seconds_text(seconds: float) -> str:
    """A length of time for people: 0:42, 12:05, 1:02:03."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
