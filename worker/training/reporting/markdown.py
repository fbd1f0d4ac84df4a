"""The report as a page to read: the verdict, the side-by-side table, then everything in detail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from worker.training.reporting import tables
from worker.training.reporting.comparisons import nothing_to_compare, price_in_words
from worker.training.reporting.data_table import data_table
from worker.training.reporting.search import search_in_words, search_table
from worker.training.reporting.tables import Table


def render_markdown(report: Mapping[str, Any]) -> str:
    """Render a report of `build_report` (schema 1) as Markdown."""
    spec = report["spec"]
    seeds = ", ".join(map(str, spec["seeds"]))
    parts = [
        f"# Training report: {spec['model']}, {', '.join(report['arms'])}",
        f"{report['verdict']}",
        "## Side by side",
        as_table(tables.side_by_side(report)),
        "Test figures; an arm's is the mean over its seeds "
        f"({seeds}). *kept*: share of NDCG@10 left after the last items were replaced at random, over the "
        "users with a longer history. *overlap*: share of the top 10 that stays. *seconds*: training, the "
        "warm-up that arms share included. In brackets: 95 % bootstrap intervals over users, here and below.",
        "## Differences between arms",
        _differences(report),
        "## What robustness costs",
        _costs(report),
        "## Every attack",
        *(f"### {name}\n\n{as_table(tables.attacks(body))}" for name, body in tables.bodies(report)),
        "## Parts of the users",
        "Clean and attacked (last item replaced at random) figures by items read, by the user's training "
        "interactions, and by the target's training interactions (0: never seen, a miss).",
        *(f"### {name}\n\n{as_table(tables.slices(body))}" for name, body in tables.bodies(report)),
        *_search(report),
        *_stability(report),
        "## Seeds",
        as_table(tables.seeds(report)),
        "## Data",
        as_table(data_table(report)),
        "## Protocol",
        f"Figures of two reports compare where the protocol hash is the same: `{report['protocol_hash']}`.",
        _json(report["protocol"]),
        "## Settings",
        _json(spec),
        "## Environment",
        as_table(tables.environment(report)),
    ]
    return "\n\n".join(parts) + "\n"


def _differences(report: Mapping[str, Any]) -> str:
    if not report["comparisons"]:
        return nothing_to_compare(len(report["arms"]))
    return as_table(tables.differences(report))


def _costs(report: Mapping[str, Any]) -> str:
    if not report["costs"]:
        return "There is no standard arm of the same seed beside another to set a price against."
    words = " ".join(sentence[0].upper() + sentence[1:] for sentence in map(price_in_words, report["costs"]))
    return f"Against standard. {words}\n\n{as_table(tables.costs(report))}"


def _search(report: Mapping[str, Any]) -> list[str]:
    words = search_in_words(report)
    return ["## Search for the shares", words, as_table(search_table(report))] if words else []


def _stability(report: Mapping[str, Any]) -> list[str]:
    words = tables.stability_in_words(report)
    return ["## Rank-list stability", words, as_table(tables.stability(report))] if words else []


def as_table(table: Table) -> str:
    """Write a table in Markdown."""
    lines = [table.header, ["---"] * len(table.header), *table.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _json(value: Any) -> str:
    return f"```json\n{json.dumps(value, indent=1)}\n```"
