"""A comparison in words and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.comparisons.gathering import Side
    from app.comparisons.service import Compared
    from worker.training.evaluation.pairing import Difference

NAMES = {
    "test.ndcg@10": "clean NDCG@10",
    "attacks.end.1.uniform.ndcg@10": "NDCG@10 with the last item replaced",
    "attacks.end.1.uniform.overlap": "top-10 overlap with the last item replaced",
}


def verdict(compared: Compared) -> str:
    """Say what can be said, and what cannot."""
    baseline = compared.baseline
    sentences = []
    for side, metrics in compared.others:
        moved = [_moved(name, one) for name, (_, _, one) in metrics.items() if one.significant]
        same = [named(name) for name, (_, _, one) in metrics.items() if not one.significant]
        parts = [", ".join(moved)] if moved else []
        if same:
            parts.append(f"no measurable difference in {' or '.join(same)}")
        found = "; ".join(parts) or "nothing that both were measured by"
        sentences.append(f"{_begun(side)} against {baseline.label}: {found}.")
    if compared.mixed:
        first = compared.mixed[0]
        sentences.append(
            f"These were not measured alike ({first.field} differs): users are not paired, and a difference "
            "may come from the measuring as well as from the models."
        )
    sentences.append(
        "Intervals are over users, not over seeds, and seeds can differ by as much as models do"
        + (": train several before believing a difference." if _few_seeds(compared) else ".")
    )
    return " ".join(sentences)


def markdown(compared: Compared) -> str:
    """The comparison as a page to read."""
    header = ("", "figure", "baseline", "here", "difference", "95 % interval over users", "users")
    rows = [
        (
            side.label,
            named(name),
            f"{base:.4f}",
            f"{value:.4f}",
            f"{one.difference:+z.4f}",
            f"{one.low:+z.4f} to {one.high:+z.4f}{' *' if one.significant else ''}",
            str(one.n),
        )
        for side, metrics in compared.others
        for name, (value, base, one) in metrics.items()
    ]
    lines = [header, ("---",) * len(header), *rows]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    paired = "unpaired" if compared.mixed else "paired by user"
    return (
        f"# Against {compared.baseline.label}\n\n{verdict(compared)}\n\n{table}\n\n"
        f"Differences are {paired}; * marks intervals without 0. Protocol of the baseline: "
        f"`{compared.baseline.protocol_hash}`.\n"
    )


def named(metric: str) -> str:
    """A metric in words."""
    return NAMES.get(metric, metric)


def _moved(name: str, one: Difference) -> str:
    direction = "higher" if one.difference > 0 else "lower"
    low, high = sorted((abs(one.low), abs(one.high)))
    return f"{named(name)} {direction} by {abs(one.difference):.4f} (95 % interval {low:.4f} to {high:.4f})"


def _few_seeds(compared: Compared) -> bool:
    sides: list[Side] = [compared.baseline, *(side for side, _ in compared.others)]
    return min(len(side.seeds) for side in sides) < 3


def _begun(side: Side) -> str:
    """A side at the beginning of a sentence; the names of models and evaluations are their owner's."""
    return side.label[0].upper() + side.label[1:] if side.kind == "job" else side.label
