"""The demo's side-by-side table, read from a job's report (JSON, schema 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

COUNTS = (1, 2, 5)
POSITION = "end"
REPLACEMENT = "uniform"


@dataclass(frozen=True)
class Row:
    """One arm or baseline. `kept` and `overlap` are keyed by how many items were replaced."""

    name: str
    hr: float
    ndcg: float
    kept: dict[int, float]
    overlap: dict[int, float]
    seconds: float | None
    is_arm: bool


def rows_of(report: dict[str, Any]) -> list[Row]:
    """The table's rows: arms in the report's order, then baselines."""
    arms = [_row(name, body, is_arm=True) for name, body in report["arms"].items()]
    baselines = [_row(name, body, is_arm=False) for name, body in report["baselines"].items()]
    return arms + baselines


def print_table(console: Console, rows: list[Row]) -> None:
    """Print the table; the best arm of each column is bold."""
    table = Table(title="Test figures: untouched histories, and with the last items replaced at random")
    table.add_column("")
    for heading in (
        "HR@10",
        "NDCG@10",
        *(f"kept, {_items(count)}" for count in COUNTS),
        *(f"overlap, {_items(count)}" for count in COUNTS),
        "seconds",
    ):
        table.add_column(heading, justify="right")
    columns: list[tuple[Callable[[Row], float | None], str]] = [
        (lambda row: row.hr, "{:.4f}"),
        (lambda row: row.ndcg, "{:.4f}"),
        *((lambda row, n=count: row.kept.get(n), "{:.2f}") for count in COUNTS),
        *((lambda row, n=count: row.overlap.get(n), "{:.2f}") for count in COUNTS),
    ]
    best = [
        max((value for row in rows if row.is_arm and (value := read(row)) is not None), default=None)
        for read, _ in columns
    ]
    for index, row in enumerate(rows):
        cells = []
        for (read, form), top in zip(columns, best, strict=True):
            value = read(row)
            text = "–" if value is None else form.format(value)
            cells.append(f"[bold]{text}[/]" if row.is_arm and value is not None and value == top else text)
        last_arm = row.is_arm and (index + 1 == len(rows) or not rows[index + 1].is_arm)
        table.add_row(
            row.name, *cells, "" if row.seconds is None else f"{row.seconds:.0f}", end_section=last_arm
        )
    console.print(table)
    console.print(
        "[dim]kept: share of NDCG@10 left after the replacement (over users with a longer history). "
        "overlap: share of the top 10 that stays.[/]"
    )


def _row(name: str, body: dict[str, Any], *, is_arm: bool) -> Row:
    test = body["test"]
    attacks = {
        attack["count"]: attack
        for attack in body.get("attacks", ())
        if attack["position"] == POSITION and attack["replacement"] == REPLACEMENT
    }
    return Row(
        name=name,
        hr=test["hr@10"],
        ndcg=test["ndcg@10"],
        kept={count: attacks[count]["kept"] for count in COUNTS if count in attacks},
        overlap={count: attacks[count]["overlap"] for count in COUNTS if count in attacks},
        seconds=body.get("seconds") if is_arm else None,
        is_arm=is_arm,
    )


def _items(count: int) -> str:
    return "last 1" if count == 1 else f"last {count}"
