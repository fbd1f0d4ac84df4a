"""The report's figures as tables of text: what the Markdown report and the page have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COUNTS = (1, 2, 5)
NONE = "–"

Report = Mapping[str, Any]
Row = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A header and rows of as many cells."""

    header: Row
    rows: Sequence[Row]


def bodies(report: Report) -> list[tuple[str, Mapping[str, Any]]]:
    """Return what has test figures: (name, body) of the arms, then of the baselines."""
    return [*report["arms"].items(), *report["baselines"].items()]


def side_by_side(report: Report) -> Table:
    """Clean figures beside what is left of them with the last items replaced at random."""
    cells_of = {
        name: {
            row["count"]: row
            for row in body["attacks"]
            if row["position"] == "end" and row["replacement"] == "uniform"
        }
        for name, body in bodies(report)
    }
    counts = [count for count in COUNTS if any(count in cells for cells in cells_of.values())]
    rows = []
    for name, body in bodies(report):
        cells = cells_of[name]
        rows.append(
            (
                name,
                number(body["test"]["hr@10"]),
                _ranged(body["test"], body["test_intervals"], "ndcg@10"),
                *(number(cells[count]["kept"], 2) if count in cells else NONE for count in counts),
                *(number(cells[count]["overlap"], 2) if count in cells else NONE for count in counts),
                number(body.get("seconds"), 0),
            )
        )
    labels = [f"last {count}" for count in counts]
    kept, overlap = ([f"{figure}, {label}" for label in labels] for figure in ("kept", "overlap"))
    return Table(("", "HR@10", "NDCG@10", *kept, *overlap, "seconds"), rows)


def differences(report: Report) -> Table:
    """Differences between arms, with intervals."""
    rows = [
        (
            row["arm"],
            row["against"],
            row["metric"],
            f"{row['difference']:+z.4f}",
            f"{row['interval'][0]:+z.4f} to {row['interval'][1]:+z.4f}",
            str(row["n"]),
        )
        for row in report["comparisons"]
    ]
    return Table(("arm", "against", "figure", "difference", "95 % interval over users", "users"), rows)


def costs(report: Report) -> Table:
    """What each arm costs against standard."""
    rows = [
        (
            row["arm"],
            number(row["clean_ndcg@10_ratio"], 3),
            number(row["seconds"]["arm"], 0),
            f"{row['seconds']['extra']:+.0f}",
            number(row["seconds"]["ratio"], 2),
            number(row["seconds"]["epoch_ratio"], 2),
        )
        for row in report["costs"]
    ]
    header = ("arm", "share of clean NDCG@10", "seconds", "more", "seconds, ratio", "seconds an epoch, ratio")
    return Table(header, rows)


def attacks(body: Mapping[str, Any]) -> Table:
    """Every attack on one arm or baseline."""
    ranged = ("ndcg@10", "kept", "overlap")
    figures = ("hr@10", "mrr@10", "jaccard", "rbo", "top1_changed")
    rows = [
        (
            row["position"],
            str(row["count"]),
            row["replacement"],
            str(row["n"]),
            *(_ranged(row, row["intervals"], figure) for figure in ranged),
            *(number(row[figure]) for figure in figures),
            number(row.get("rank_shift_median"), 0),
        )
        for row in body["attacks"]
    ]
    header = ("position", "count", "replacement", "n", *ranged, *figures, "places lost, median")
    return Table(header, rows)


def slices(body: Mapping[str, Any]) -> Table:
    """Figures of parts of the users, of one arm or baseline."""
    rows = [
        (
            row["by"].replace("_", " "),
            _bin(row["from"], row["to"]),
            str(row["users"]),
            *(_ranged(row, row["intervals"], figure) for figure in ("ndcg@10", "attacked_ndcg@10")),
            number(row["overlap"]),
        )
        for row in body["slices"]
    ]
    return Table(("by", "from to", "users", "NDCG@10", "attacked NDCG@10", "overlap"), rows)


_CHANGES = {
    ("seed", None): "the same, another seed",
    ("removed", "random"): "one removed, at random",
    ("removed", "highest_cascade"): "one removed, of the highest cascade effect",
    ("replaced", "random"): "one replaced, at random",
    ("replaced", "highest_cascade"): "one replaced, of the highest cascade effect",
}


def stability(report: Report) -> Table:
    """How far each arm's lists move when a training interaction is missing or another; no rows when off."""
    rows = [
        (
            name,
            _CHANGES[change["change"], change["chosen"]],
            str(change["n"]),
            *(number(change[figure]) for figure in ("jaccard", "rbo", "top1_changed", "ndcg@10")),
        )
        for name, body in (report.get("stability") or {"arms": {}})["arms"].items()
        for change in body["changes"]
    ]
    header = ("arm", "training interactions", "trainings", "jaccard", "rbo", "top1_changed", "NDCG@10")
    return Table(header, rows)


def stability_in_words(report: Report) -> str:
    """Say what the table of `stability` compares; "" when the phase was off."""
    found = report.get("stability")
    if found is None:
        return ""
    cut = "" if found["complete"] else " The run's time was over before all trainings were done."
    return (
        f"Top-10 lists of {found['users']:,} users, seed {found['seed']}, after {found['epochs']} epochs, "
        "against the same arm trained on the unchanged data; all random draws are the same but for the "
        f"control with another seed. 1 is no change, but for top1_changed, where it is 0.{cut}"
    )


def seeds(report: Report) -> Table:
    """Each seed of each arm: how it was trained and what it reached."""
    rows = [
        (
            name,
            str(seed["seed"]),
            number(seed["validation"]["ndcg@10"]),
            number(seed["test"]["ndcg@10"]),
            str(seed["best_epoch"]),
            f"{seed['epochs']} ({seed['stop_reason']})",
            number(seed["seconds"], 0),
        )
        for name, body in report["arms"].items()
        for seed in body["seeds"]
    ]
    return Table(
        ("arm", "seed", "validation NDCG@10", "test NDCG@10", "best epoch", "epochs", "seconds"), rows
    )


def environment(report: Report) -> Table:
    """Versions, device and threads."""
    return Table(("", ""), sorted((name, str(value)) for name, value in report["environment"].items()))


def number(value: float | None, digits: int = 4) -> str:
    """Write a figure; a dash for one that is not there."""
    return NONE if value is None else f"{value:z.{digits}f}"


def _ranged(figures: Mapping[str, Any], intervals: Mapping[str, Sequence[float] | None], name: str) -> str:
    interval = intervals[name]
    value = number(figures[name])
    return value if interval is None else f"{value} ({interval[0]:.4f} to {interval[1]:.4f})"


def _bin(first: int, last: int | None) -> str:
    if last is None:
        return f"{first} and more"
    return str(first) if first == last else f"{first} to {last}"
