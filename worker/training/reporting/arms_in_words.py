"""What each arm of a run does, in the words that its settings call for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Spec = Mapping[str, Any]
"""A report's `spec`."""

_PUT_IN = {
    "uniform": "any other item",
    "popularity": "items drawn by popularity",
    "gradient": "the worst of some drawn items",
}
_CHANCE = "each with a chance that goes by its cascade weight"


def arms_in_words(spec: Spec) -> list[tuple[str, str]]:
    """Return (arm, what it is trained with) for each arm of the run."""
    said = {
        "standard": "without perturbations",
        "adversarial": _everywhere_alike(spec),
        "cascade": _by_weight(spec),
        "cascade_replacement": _replaced(spec),
    }
    return [(arm, said[arm]) for arm in spec["arms"]]


def weights_in_words(spec: Spec) -> str:
    """Say in a sentence or two what the cascade weights govern in this run."""
    alike = spec["perturb_share"] is None
    moved = "the length of an item's perturbation" if alike else "an item's chance to be moved"
    uses = {"cascade": moved, "cascade_replacement": "an item's chance to be replaced"}
    said = [f"In arm {arm} {what} goes by its weight." for arm, what in uses.items() if arm in spec["arms"]]
    return " ".join(said) or "No arm of this run uses them."


def _everywhere_alike(spec: Spec) -> str:
    share = spec["perturb_share"]
    if share is None:
        return f"with perturbations of equal strength everywhere, {_way(spec)}"
    return f"with {_percent(share)} of a history's items moved, each as likely as the other, {_way(spec)}"


def _by_weight(spec: Spec) -> str:
    share = spec["perturb_share"]
    if share is None:
        return f"with perturbations re-scaled by each interaction's cascade weight, {_way(spec)}"
    return f"with {_percent(share)} of a history's items moved on average, {_CHANCE}, {_way(spec)}"


def _replaced(spec: Spec) -> str:
    share, by = _percent(spec["replace_share"]), _PUT_IN[spec["replace_by"]]
    return f"with {share} of a history's items replaced on average by {by}, {_CHANCE}"


def _way(spec: Spec) -> str:
    if spec["perturb_towards"] == "gradient":
        return "along the gradient"
    return f"towards the worst of {spec['replace_candidates']} drawn items"


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
