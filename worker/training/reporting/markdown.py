"""The report as a page to read: the verdict, the side-by-side table, then everything in detail."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from worker.training.reporting.comparisons import price_in_words

COUNTS = (1, 2, 5)
_NONE = "–"


def render_markdown(report: Mapping[str, Any]) -> str:
    """Render a report of `build_report` (schema 1) as Markdown."""
    spec, data = report["spec"], report["dataset"]
    seeds = ", ".join(map(str, spec["seeds"]))
    parts = [
        f"# Training report: {spec['model']}, {', '.join(report['arms'])}",
        f"{report['verdict']}",
        "## Side by side",
        _side_by_side(report),
        "Test figures; an arm's is the mean over its seeds "
        f"({seeds}). *kept*: share of NDCG@10 left after the last items were replaced at random, over the "
        "users with a longer history. *overlap*: share of the top 10 that stays. *seconds*: training, the "
        "warm-up that arms share included. In brackets: 95 % bootstrap intervals over users, here and below.",
        "## Differences between arms",
        _differences(report["comparisons"]),
        "## What robustness costs",
        _costs(report["costs"]),
        "## Every attack",
        *(_attacks(name, body) for name, body in _bodies(report)),
        "## Parts of the users",
        "Clean and attacked (last item replaced at random) figures by items read, by the user's training "
        "interactions, and by the target's training interactions (0: never seen, a miss).",
        *(_slices(name, body) for name, body in _bodies(report)),
        "## Seeds",
        _seeds(report["arms"]),
        "## Data",
        _data(data),
        "## Protocol",
        "Figures of two reports compare only where the protocol hash is the same: "
        f"`{report['protocol_hash']}`.",
        _json(report["protocol"]),
        "## Settings",
        _json(spec),
        "## Environment",
        _table(("", ""), sorted((name, str(value)) for name, value in report["environment"].items())),
    ]
    return "\n\n".join(parts) + "\n"


def side_by_side_rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Rows of the summary table: arms, then baselines; cells as text."""
    rows = []
    for name, body in _bodies(report):
        cells = {
            row["count"]: row
            for row in body["attacks"]
            if row["position"] == "end" and row["replacement"] == "uniform"
        }
        rows.append(
            (
                name,
                _number(body["test"]["hr@10"]),
                _ranged(body["test"], body["test_intervals"], "ndcg@10"),
                *(_number(cells[count]["kept"], 2) if count in cells else _NONE for count in COUNTS),
                *(_number(cells[count]["overlap"], 2) if count in cells else _NONE for count in COUNTS),
                _number(body.get("seconds"), 0),
            )
        )
    return rows


def _side_by_side(report: Mapping[str, Any]) -> str:
    labels = [f"last {count}" for count in COUNTS]
    header = (
        "",
        "HR@10",
        "NDCG@10",
        *(f"kept, {label}" for label in labels),
        *(f"overlap, {label}" for label in labels),
        "seconds",
    )
    return _table(header, side_by_side_rows(report))


def _differences(comparisons: Sequence[Mapping[str, Any]]) -> str:
    if not comparisons:
        return "One arm was trained: there is nothing to compare."
    rows = (
        (
            row["arm"],
            row["against"],
            row["metric"],
            f"{row['difference']:+.4f}",
            f"{row['interval'][0]:+.4f} to {row['interval'][1]:+.4f}",
            str(row["n"]),
        )
        for row in comparisons
    )
    return _table(("arm", "against", "figure", "difference", "95 % interval over users", "users"), rows)


def _costs(costs: Sequence[Mapping[str, Any]]) -> str:
    if not costs:
        return "There is no standard arm beside another to set a price against."
    rows = (
        (
            row["arm"],
            _number(row["clean_ndcg@10_ratio"], 3),
            _number(row["seconds"]["arm"], 0),
            f"{row['seconds']['extra']:+.0f}",
            _number(row["seconds"]["ratio"], 2),
            _number(row["seconds"]["epoch_ratio"], 2),
        )
        for row in costs
    )
    header = ("arm", "share of clean NDCG@10", "seconds", "more", "seconds, ratio", "seconds an epoch, ratio")
    words = " ".join(sentence[0].upper() + sentence[1:] for sentence in map(price_in_words, costs))
    return f"Against standard. {words}\n\n" + _table(header, rows)


def _attacks(name: str, body: Mapping[str, Any]) -> str:
    ranged = ("ndcg@10", "kept", "overlap")
    figures = ("hr@10", "mrr@10", "jaccard", "rbo", "top1_changed")
    rows = (
        (
            row["position"],
            str(row["count"]),
            row["replacement"],
            str(row["n"]),
            *(_ranged(row, row["intervals"], figure) for figure in ranged),
            *(_number(row[figure]) for figure in figures),
            _number(row.get("rank_shift_median"), 0),
        )
        for row in body["attacks"]
    )
    header = ("position", "count", "replacement", "n", *ranged, *figures, "places lost, median")
    return f"### {name}\n\n" + _table(header, rows)


def _slices(name: str, body: Mapping[str, Any]) -> str:
    rows = (
        (
            row["by"].replace("_", " "),
            _bin(row["from"], row["to"]),
            str(row["users"]),
            *(_number(row[figure]) for figure in ("ndcg@10", "attacked_ndcg@10", "overlap")),
        )
        for row in body["slices"]
    )
    header = ("by", "from to", "users", "NDCG@10", "attacked NDCG@10", "overlap")
    return f"### {name}\n\n" + _table(header, rows)


def _bin(first: int, last: int | None) -> str:
    if last is None:
        return f"{first} and more"
    return str(first) if first == last else f"{first} to {last}"


def _seeds(arms: Mapping[str, Any]) -> str:
    rows = (
        (
            name,
            str(seed["seed"]),
            _number(seed["validation"]["ndcg@10"]),
            _number(seed["test"]["ndcg@10"]),
            str(seed["best_epoch"]),
            f"{seed['epochs']} ({seed['stop_reason']})",
            _number(seed["seconds"], 0),
        )
        for name, body in arms.items()
        for seed in body["seeds"]
    )
    header = ("arm", "seed", "validation NDCG@10", "test NDCG@10", "best epoch", "epochs", "seconds")
    return _table(header, rows)


def _data(data: Mapping[str, Any]) -> str:
    tied = data["tied_last_two_share"]
    rows = [
        ("users, items, interactions", f"{data['users']:,}, {data['items']:,}, {data['interactions']:,}"),
        ("users evaluated (at least 3 interactions)", f"{data['eval_users']:,}"),
        ("interactions too old for any training window", f"{data['cut_interactions']:,}"),
        ("test targets never seen in training (misses)", f"{data['cold_targets']:,}"),
        (
            "users whose last two interactions carry the same time",
            "no times" if tied is None else f"{tied:.0%}",
        ),
    ]
    return _table(("", ""), rows)


def _bodies(report: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [*report["arms"].items(), *report["baselines"].items()]


def _number(value: float | None, digits: int = 4) -> str:
    return _NONE if value is None else f"{value:.{digits}f}"


def _ranged(figures: Mapping[str, Any], intervals: Mapping[str, Sequence[float] | None], name: str) -> str:
    interval = intervals[name]
    value = _number(figures[name])
    return value if interval is None else f"{value} ({interval[0]:.4f} to {interval[1]:.4f})"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _json(value: Any) -> str:
    return f"```json\n{json.dumps(value, indent=1)}\n```"
