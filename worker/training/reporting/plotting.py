"""What the report's figures have in common: how an arm is drawn, axes, legends, and the finished SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from worker.training.reporting.svg import drawing, finished_svg

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


def finish_figure(
    name: str,
    title: str,
    description: str,
    draw: Callable[[Canvas], None],
    *,
    height: float,
) -> Figure:
    """Let `draw` draw on a canvas of that height (inches), and return it as a Figure."""
    with drawing():
        canvas = Canvas(figsize=(_WIDTH, height), layout="constrained")
        draw(canvas)
        svg = finished_svg(canvas, name=name, title=title, description=description)
    return Figure(name, title, description, svg)


def label_axes(axes: Axes, *, xlabel: str = "", ylabel: str = "") -> None:
    """Name the axes and show their grid."""
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(visible=True)


def add_legend(canvas: Canvas, axes: Axes) -> None:
    """Put one legend for all above the canvas, of what is drawn on `axes`."""
    handles, names = axes.get_legend_handles_labels()
    if names:
        canvas.legend(handles, names, loc="outside upper center", ncols=min(len(names), 6))


def style_of(name: str) -> Style:
    """Return an arm's or baseline's style; grey for one without."""
    return STYLES.get(name, _PLAIN)
