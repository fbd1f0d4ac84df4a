"""The report's figures as SVG: each a function of the report alone, the same bytes for the same report.

matplotlib draws them, with its SVG backend and nothing global; `svg.py` makes the result fit for light and
dark pages and for readers that do not see it. Arms differ in marker and line as well as in colour (the
palette of Okabe and Ito, which colour-blind readers tell apart).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from worker.training.reporting.svg import INK, drawing, finished_svg, printable

Report = Mapping[str, Any]
_WIDTH = 7.2  # inches


@dataclass(frozen=True)
class Style:
    """How one arm or baseline is drawn everywhere."""

    color: str
    marker: str
    line: str


STYLES = {
    "standard": Style("#0072B2", "o", "-"),
    "adversarial": Style("#E69F00", "s", "--"),
    "cascade": Style("#009E73", "^", "-"),
    "cascade_replacement": Style("#D55E00", "D", "-."),
    "popularity": Style("#CC79A7", "P", ":"),
    "markov": Style("#56B4E9", "X", ":"),
}
_PLAIN = Style("#808080", "o", "-")


@dataclass(frozen=True)
class Figure:
    """A finished figure: its name in paths, what it shows in a line and in a few sentences, and its SVG."""

    name: str
    title: str
    description: str
    svg: str


def draw_figures(report: Report) -> list[Figure]:
    """Draw every figure that the report has figures for."""
    found = [_learning_curves(report)]
    replacements = dict.fromkeys(row["replacement"] for row in _rows(report))
    found += [_robustness(report, replacement) for replacement in replacements]
    found += [_pareto(report), _cascade_effects(report), _example(report)]
    return found


def _figure(
    name: str,
    title: str,
    description: str,
    draw: Callable[[Canvas], None],
    *,
    height: float,
) -> Figure:
    with drawing():
        canvas = Canvas(figsize=(_WIDTH, height), layout="constrained")
        draw(canvas)
        svg = finished_svg(canvas, name=name, title=title, description=description)
    return Figure(name, title, description, svg)


def _learning_curves(report: Report) -> Figure:
    warmup = report["spec"]["warmup_epochs"]

    def draw(canvas: Canvas) -> None:
        loss, ndcg = canvas.subplots(2, 1, sharex=True)
        for name, body in report["arms"].items():
            style = _style(name)
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
        _labels(loss, ylabel="ranking loss\n(nats a target)")
        _labels(ndcg, xlabel="epoch", ylabel="validation NDCG@10")
        _legend(canvas, loss)

    return _figure(
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
                for name, body in _bodies(report):
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
            _labels(axes_row[0], ylabel=label)
        for axes, position in zip(grid[0], positions, strict=True):
            axes.set_title(position.replace("_", " "))
        for axes in (*grid[0], *grid[1]):
            axes.grid(visible=True)
        for axes in grid[1]:
            _labels(axes, xlabel="items replaced")
            axes.set_xticks(sorted({row["count"] for row in _rows(report)}))
        _legend(canvas, grid[0][0])

    return _figure(
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
        for name, body in _bodies(report):
            style = _style(name)
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
        _labels(axes, xlabel="clean test NDCG@10", ylabel=f"NDCG@10, {where}")
        _legend(canvas, axes)

    return _figure(
        "pareto",
        "Accuracy against robustness",
        f"Clean test NDCG@10 against NDCG@10 under attack ({where}): up and to the right is better. Bars: "
        "95 % bootstrap intervals over users. Hollow marks: single seeds. The clean figure is over all "
        "evaluated users, the attacked one over those whose history is longer than the count.",
        draw,
        height=4.2,
    )


def _cascade_effects(report: Report) -> Figure:
    facts = report["cascade"]
    rows = facts["by_position"]
    places = [row["from_end"] for row in rows]

    def bands(axes: Axes, field: str, color: str, label: str) -> None:
        low, lower, middle, upper, high = zip(*(row[field] for row in rows), strict=True)
        axes.fill_between(places, low, high, color=color, alpha=0.2, linewidth=0)
        axes.fill_between(places, lower, upper, color=color, alpha=0.35, linewidth=0)
        axes.plot(places, middle, color=color, label=label, linewidth=1.4)

    def draw(canvas: Canvas) -> None:
        effect, weight = canvas.subplots(2, 1, sharex=True)
        bands(effect, "effect", "#0072B2", f"κ = {facts['kappa']:g} (as run)")
        if facts["kappa"] != 1:
            middle = [row["effect_kappa_1"][2] for row in rows]
            effect.plot(places, middle, "--", color="#D55E00", label="κ = 1, median", linewidth=1.2)
        effect.set_yscale("log")
        bands(weight, "weight", "#009E73", "weight")
        weight.set_ylim(bottom=0.0)
        weight.invert_xaxis()
        _labels(effect, ylabel="cascade effect\n(predictions reading it)")
        _labels(weight, xlabel="places before the window's end (1 = last input)", ylabel="weight w")
        _legend(canvas, effect)

    return _figure(
        "cascade_effects",
        "Cascade effects and weights by position",
        "How many later training predictions read an interaction, and the weight that the cascade arm gives "
        "its perturbation, by the place in the training window. Lines: medians; bands: the middle 50 % "
        "and 90 % of interactions.",
        draw,
        height=4.6,
    )


def _example(report: Report) -> Figure:
    facts = report["cascade"]["example"]
    places = range(len(facts["items"]))

    def draw(canvas: Canvas) -> None:
        effect, weight = canvas.subplots(2, 1, sharex=True)
        effect.bar(places, facts["effects"], color="#0072B2")
        weight.bar(places, facts["weights"], color="#009E73")
        weight.axhline(1.0, color=INK, linewidth=0.8, linestyle=":")
        _labels(effect, ylabel="cascade effect")
        _labels(weight, xlabel="item of the history, oldest first", ylabel="weight w")
        weight.set_xticks(list(places), [printable(item, 14) for item in facts["items"]], rotation=60)
        for label in weight.get_xticklabels():
            label.set_parse_math(False)
            label.set_horizontalalignment("right")
            label.set_rotation_mode("anchor")

    return _figure(
        "example_weights",
        "Weights on one sequence",
        "One training window: the cascade effect of each item of its history, and the weight of its "
        "perturbation in the cascade arm. Dotted: 1, which the adversarial arm gives every item.",
        draw,
        height=4.4,
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
    style = _style(name)
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


def _labels(axes: Axes, *, xlabel: str = "", ylabel: str = "") -> None:
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(visible=True)


def _legend(canvas: Canvas, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    if names:
        canvas.legend(handles, names, loc="outside upper center", ncols=min(len(names), 6))


def _style(name: str) -> Style:
    return STYLES.get(name, _PLAIN)


def _bodies(report: Report) -> list[tuple[str, Mapping[str, Any]]]:
    return [*report["arms"].items(), *report["baselines"].items()]


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
