"""The report as one HTML page that needs nothing else: no script, nothing loaded, figures inline."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from worker.training.reporting import tables
from worker.training.reporting.arms_in_words import arms_in_words, weight_by_effect, weights_in_words
from worker.training.reporting.comparisons import nothing_to_compare, price_in_words
from worker.training.reporting.data_table import data_table
from worker.training.reporting.plotting import Figure
from worker.training.reporting.search import search_in_words, search_table
from worker.training.shares import chosen_settings

_TEMPLATE = Path(__file__).with_name("report_page.html")
_SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z])")


def render_page(report: Mapping[str, Any], figures: Sequence[Figure]) -> str:
    """Render a report of `build_report` (schema 1) with its figures as an HTML document.

    Every text of the report is escaped; the figures' SVG, which `finished_svg` escaped, is taken as it is.
    """
    of_cascade = ("cascade_effects", "example_weights")
    shown = [
        {
            "name": figure.name,
            "title": figure.title,
            "text": figure.description,
            "svg": Markup(figure.svg),  # noqa: S704 - escaped where it was drawn
        }
        for figure in figures
    ]
    return _template().render(
        report=report,
        sentences=_SENTENCE.split(report["verdict"]),
        results=[figure for figure in shown if figure["name"] not in of_cascade],
        cascade=[figure for figure in shown if figure["name"] in of_cascade],
        arms=arms_in_words(report["spec"], chosen_settings(report)),
        weight_by_effect=weight_by_effect(report["spec"]),
        weights=weights_in_words(report["spec"], chosen_settings(report)),
        side_by_side=tables.side_by_side(report),
        differences=tables.differences(report),
        no_differences=nothing_to_compare(len(report["arms"])),
        costs=tables.costs(report),
        prices=[price_in_words(cost) for cost in report["costs"]],
        attacks=[(name, tables.attacks(body)) for name, body in tables.bodies(report)],
        slices=[(name, tables.slices(body)) for name, body in tables.bodies(report)],
        search=search_table(report),
        search_text=search_in_words(report),
        stability=tables.stability(report),
        stability_text=tables.stability_in_words(report),
        seeds=tables.seeds(report),
        data=data_table(report),
        environment=tables.environment(report),
        protocol=json.dumps(report["protocol"], indent=1, ensure_ascii=False),
        spec=json.dumps(report["spec"], indent=1, ensure_ascii=False),
    )


@cache
def _template() -> Template:
    surroundings = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return surroundings.from_string(_TEMPLATE.read_text(encoding="utf-8"))
