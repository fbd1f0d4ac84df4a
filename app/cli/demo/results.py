"""The demo's side-by-side table, read from a job's report (JSON, schema 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from app.sdk.report_figures import MeasuredReport
from app.sdk.reports import JobReport

COUNTS = (1, 2, 5)
POSITION = "end"
REPLACEMENT = "uniform"
# The service keeps no order of names.
ORDER = ("standard", "adversarial", "cascade", "cascade_replacement", "popularity", "markov")


@dataclass(frozen=True)
class Row:
    """One arm or baseline. `kept` and `overlap` are keyed by how many items were replaced.

    They are None where nobody's history is longer than that.
    """

    name: str
    hr: float
    ndcg: float
    kept: dict[int, float | None]
    overlap: dict[int, float | None]
    seconds: float | None
    is_arm: bool


def rows_of(report: JobReport) -> list[Row]:
    """The table's rows: arms, then baselines, each from the plainest on."""
    arms, baselines = report["arms"], report["baselines"]
    trained = [_row(name, arms[name], arms[name]["seconds"]) for name in sorted(arms, key=_place)]
    return trained + [_row(name, baselines[name], None) for name in sorted(baselines, key=_place)]


def print_table(console: Console, rows: list[Row]) -> None:
    """Print the table; the best arm of each column is bold."""
    counts = [count for count in COUNTS if any(count in row.overlap for row in rows)]
    attacked = f" and with the last {_either(counts)} of each history replaced at random" if counts else ""
    table = Table(
        title=f"Test figures, clean{attacked}",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        header_style="bold",
    )
    table.add_column("")
    table.add_column("\nHR@10", justify="right")
    table.add_column("clean\nNDCG@10", justify="right")
    for measure in ("kept", "overlap"):
        for count in counts:
            table.add_column(f"{measure}\nlast {count}", justify="right")
    table.add_column("\nseconds", justify="right")
    columns: list[tuple[Callable[[Row], float | None], str]] = [
        (lambda row: row.hr, "{:.4f}"),
        (lambda row: row.ndcg, "{:.4f}"),
        *((lambda row, n=count: row.kept.get(n), "{:.2f}") for count in counts),
        *((lambda row, n=count: row.overlap.get(n), "{:.2f}") for count in counts),
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
        if index and row.is_arm != rows[index - 1].is_arm:
            table.add_row()
        table.add_row(row.name, *cells, "" if row.seconds is None else f"{row.seconds:.0f}")
    console.print(table)
    if counts:
        console.print(
            "[dim]kept: share of NDCG@10 left after the replacement (over users with a longer history). "
            "overlap: share of the top 10 that stays.[/]"
        )


def _either(counts: list[int]) -> str:
    *others, last = map(str, counts)
    items = "item" if counts == [1] else "items"
    return f"{', '.join(others)} or {last} {items}" if others else f"{last} {items}"


def _row(name: str, body: MeasuredReport, seconds: float | None) -> Row:
    test = body["test"]
    attacks = {
        attack["count"]: attack
        for attack in body["attacks"]
        if attack["position"] == POSITION and attack["replacement"] == REPLACEMENT
    }
    return Row(
        name=name,
        hr=test["hr@10"],
        ndcg=test["ndcg@10"],
        kept={count: attacks[count]["kept"] for count in COUNTS if count in attacks},
        overlap={count: attacks[count]["overlap"] for count in COUNTS if count in attacks},
        seconds=seconds,
        is_arm=seconds is not None,
    )


def _place(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)
