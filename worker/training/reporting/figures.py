"""The report's figures as SVG: each a function of the report alone, the same bytes for the same report.

matplotlib draws them, with its SVG backend and nothing global; `svg.py` makes the result fit for light and
dark pages and for readers that do not see it. Arms differ in marker and line as well as in colour (the
palette of Okabe and Ito, which colour-blind readers tell apart).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from worker.training.reporting.cascade_figures import cascade_effects, example_weights
from worker.training.reporting.plotting import (
    Figure,
    Report,
    add_legend,
    finish_figure,
    label_axes,
    style_of,
)
from worker.training.reporting.svg import INK
from worker.training.reporting.tables import bodies


def draw_figures(report: Report) -> list[Figure]:
    """Draw every figure that the report has figures for."""
    found = [_learning_curves(report)]
    replacements = dict.fromkeys(row["replacement"] for row in _rows(report))
    found += [_robustness(report, replacement) for replacement in replacements]
    found += [_pareto(report), cascade_effects(report), example_weights(report)]
    return found


def _learning_curves(report: Report) -> Figure:
    warmup = report["spec"]["warmup_epochs"]

    def draw(canvas: Canvas) -> None:
        loss, ndcg = canvas.subplots(2, 1, sharex=True)
        for name, body in report["arms"].items():
            style = style_of(name)
            for nth, seed in enumerate(body["seeds"]):
                label = name if nth == 0 else "_"
                for axes, field in ((loss, "loss"), (ndcg, "ndcg@10")):
                    points = [(row["epoch"], row[field]) for row in seed["history"] if row[field] is not None]
                    epochs, values = zip(*points, strict=True) if points else ((), ())
                    axes.plot(epochs, values, style.line, color=style.color, label=label, linewidth=1.2)
                best = [row for row in seed["history"] if row["epoch"] == seed["best_epoch"]]
                ndcg.plot(
                    [row["epoch"] for row in best],
                    [row["ndcg@10"] for row in best],
                    style.marker,
                    color=style.color,
                )
        if warmup:
            for axes in (loss, ndcg):
                axes.axvspan(0.5, warmup + 0.5, color=INK, alpha=0.08, linewidth=0)
        label_axes(loss, ylabel="ranking loss\n(nats a target)")
        label_axes(ndcg, xlabel="epoch", ylabel="validation NDCG@10")
        add_legend(canvas, loss)

    return finish_figure(
        "learning_curves",
        "Learning curves",
        "Training loss and validation NDCG@10 by epoch, a line for each arm and seed; a mark stands at the "
        "chosen epoch."
        + (f" Shaded: the {warmup} warm-up epochs that arms share, without validation." if warmup else ""),
        draw,
        height=4.6,
    )


def _robustness(report: Report, replacement: str) -> Figure:
    positions = list(
        dict.fromkeys(row["position"] for row in _rows(report) if row["replacement"] == replacement)
    )
    metrics = (("ndcg@10", "NDCG@10\nunder attack"), ("overlap", "share of top 10\nthat stays"))

    def draw(canvas: Canvas) -> None:
        grid = canvas.subplots(2, len(positions), sharex=True, sharey="row", squeeze=False)
        for axes_row, (metric, label) in zip(grid, metrics, strict=True):
            for axes, position in zip(axes_row, positions, strict=True):
                for name, body in bodies(report):
                    rows = [
                        row
                        for row in body["attacks"]
                        if (row["position"], row["replacement"]) == (position, replacement)
                        and row[metric] is not None
                    ]
                    _errorbar(
                        axes,
                        name,
                        [row["count"] for row in rows],
                        [row[metric] for row in rows],
                        y_intervals=[row["intervals"][metric] for row in rows],
                    )
            axes_row[0].set_ylim(bottom=0.0)  # of the whole row, once all of it is drawn
            label_axes(axes_row[0], ylabel=label)
        for axes, position in zip(grid[0], positions, strict=True):
            axes.set_title(position.replace("_", " "))
        for axes in (*grid[0], *grid[1]):
            axes.grid(visible=True)
        for axes in grid[1]:
            label_axes(axes, xlabel="items replaced")
            axes.set_xticks(sorted({row["count"] for row in _rows(report)}))
        add_legend(canvas, grid[0][0])

    return finish_figure(
        f"robustness_{replacement}",
        f"Robustness: items replaced, {replacement}",
        f"Test NDCG@10 under attack, and the share of the top 10 that stays, by how many items of the "
        f"history are replaced ({replacement}) and where. Bars: 95 % bootstrap intervals over users; "
        "only users with more items than the count take part.",
        draw,
        height=4.6,
    )


def _pareto(report: Report) -> Figure:
    cell = _compared_cell(report)
    where = f"{cell[1]} item{'s' if cell[1] > 1 else ''} replaced at {cell[0]}, {cell[2]}" if cell else "none"

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        for name, body in bodies(report):
            style = style_of(name)
            for one in body.get("seeds", ()):
                row = _cell(one, cell)
                if row is not None and len(body["seeds"]) > 1:
                    axes.plot(
                        [one["test"]["ndcg@10"]],
                        [row["ndcg@10"]],
                        style.marker,
                        color=style.color,
                        markerfacecolor="none",
                        markersize=5,
                    )
            row = _cell(body, cell)
            if row is not None:
                clean = body["test"]["ndcg@10"]
                _errorbar(
                    axes,
                    name,
                    [clean],
                    [row["ndcg@10"]],
                    y_intervals=[row["intervals"]["ndcg@10"]],
                    x_intervals=[body["test_intervals"]["ndcg@10"]],
                    joined=False,
                )
        label_axes(axes, xlabel="clean test NDCG@10", ylabel=f"NDCG@10, {where}")
        add_legend(canvas, axes)

    return finish_figure(
        "pareto",
        "Accuracy against robustness",
        f"Clean test NDCG@10 against NDCG@10 under attack ({where}): up and to the right is better. Bars: "
        "95 % bootstrap intervals over users. Hollow marks: single seeds. The clean figure is over all "
        "evaluated users, the attacked one over those whose history is longer than the count.",
        draw,
        height=4.2,
    )


def _errorbar(
    axes: Axes,
    name: str,
    x: Sequence[float],
    y: Sequence[float],
    *,
    y_intervals: Sequence[Sequence[float] | None],
    x_intervals: Sequence[Sequence[float] | None] | None = None,
    joined: bool = True,
) -> None:
    style = style_of(name)
    axes.errorbar(
        x,
        y,
        yerr=_lengths(y, y_intervals),
        xerr=None if x_intervals is None else _lengths(x, x_intervals),
        fmt=style.marker + (style.line if joined else ""),
        color=style.color,
        label=name,
        markersize=5,
        linewidth=1.2,
        elinewidth=0.8,
        capsize=2,
    )


def _lengths(values: Sequence[float], intervals: Iterable[Sequence[float] | None]) -> list[list[float]]:
    """How far the interval reaches below and above each value; 0 where there is none."""
    known = [interval or (value, value) for value, interval in zip(values, intervals, strict=True)]
    below = [max(value - low, 0.0) for value, (low, _) in zip(values, known, strict=True)]
    above = [max(high - value, 0.0) for value, (_, high) in zip(values, known, strict=True)]
    return [below, above]


def _rows(report: Report) -> list[Mapping[str, Any]]:
    return [row for body in report["arms"].values() for row in body["attacks"]]


def _compared_cell(report: Report) -> tuple[str, int, str] | None:
    """The attack that arms are compared by, or the first there is."""
    cells = [(row["position"], row["count"], row["replacement"]) for row in _rows(report)]
    wanted = ("end", 1, "uniform")
    return wanted if wanted in cells else cells[0] if cells else None


def _cell(body: Mapping[str, Any], cell: tuple[str, int, str] | None) -> Mapping[str, Any] | None:
    for row in body["attacks"]:
        if (row["position"], row["count"], row["replacement"]) == cell and row["ndcg@10"] is not None:
            found: Mapping[str, Any] = row
            return found
    return None
