"""From a matplotlib figure to an SVG for light and dark pages, readable aloud, the same bytes every time."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK = "#10203f"
"""Stands for the reader's text colour while a figure is drawn; becomes `currentColor`."""

_SETTINGS: Any = {  # keys are checked by matplotlib, which has three hundred of them
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "steadyrank",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],  # matplotlib has the first with it
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.18,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "axes.titlesize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_LIGHT_AND_DARK = (
    "<style>svg{color:#222;background:#fff}"
    "@media (prefers-color-scheme:dark){svg{color:#ddd;background:#181818}}</style>"
)


@contextmanager
def drawing() -> Iterator[None]:
    """Draw within this: settings of this module on matplotlib's own, whatever the machine's file says."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        # A font without an item id's script measures it wrongly; the browser has another font.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def finished_svg(figure: Figure, *, name: str, title: str, description: str) -> str:
    """Return the figure as an <svg> element whose ids begin with `name`, with a title and a description."""
    buffer = io.StringIO()
    # Figure.savefig draws twice, once for the layout; the backend alone lays out and draws at once.
    FigureCanvasSVG(figure).print_svg(buffer, metadata=_NO_METADATA)  # type: ignore[no-untyped-call]
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<style[^>]*>.*?</style>\s*", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'xlink:href="#|\bhref="#', f'href="#{name}-', text)
    text = text.replace("url(#", f"url(#{name}-").replace(INK, "currentColor")
    root, body = text.split(">", 1)
    view_box = re.search(r'viewBox="[^"]*"', root)
    if view_box is None:
        raise ValueError(f"matplotlib wrote no viewBox: {root}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {view_box[0]} role="img" '
        f'aria-labelledby="{name}-title {name}-description" '
        'style="stroke-linejoin: round; stroke-linecap: butt">\n'
        f' <title id="{name}-title">{escape(title)}</title>\n'
        f' <desc id="{name}-description">{escape(description)}</desc>\n{body}'
    )


def standalone(svg: str) -> bytes:
    """Return the element as a file of its own, dark where the reader's screen is."""
    head, rest = svg.split("</desc>", 1)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{head}</desc>\n {_LIGHT_AND_DARK}{rest}'.encode()


def printable(text: str, length: int) -> str:
    """Return what can stand in XML of a text from outside, shortened to `length` characters."""
    shown = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return shown if len(shown) <= length else shown[: length - 1] + "…"
