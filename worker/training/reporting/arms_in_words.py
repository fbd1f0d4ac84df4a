"""What each arm of a run does, in the words that its settings call for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

Spec = Mapping[str, Any]
"""A report's `spec`."""

_PUT_IN = {
    "uniform": "any other item",
    "popularity": "items drawn by popularity",
    "gradient": "the worst of some drawn items",
}
_CHANCE = "each with a chance that goes by its cascade weight"


Chosen = Mapping[str, Spec]
"""Of `chosen_settings`: by arm, what goes before the spec's own."""
_NONE_CHOSEN: Chosen = MappingProxyType({})


def arms_in_words(spec: Spec, chosen: Chosen = _NONE_CHOSEN) -> list[tuple[str, str]]:
    """Return (arm, what it is trained with) for each arm of the run."""
    histories = {"adversarial": _everywhere_alike, "cascade": _by_weight, "cascade_replacement": _replaced}
    return [(arm, _arm({**spec, **chosen.get(arm, {})}, arm, histories.get(arm))) for arm in spec["arms"]]


def weights_in_words(spec: Spec, chosen: Chosen = _NONE_CHOSEN) -> str:
    """Say in a sentence or two what the cascade weights govern in this run."""
    of_arm = {arm: {**spec, **chosen.get(arm, {})} for arm in spec["arms"]}
    alike = of_arm.get("cascade", spec)["perturb_share"] is None
    moved = "the length of an item's perturbation" if alike else "an item's chance to be moved"
    uses = {"cascade": moved, "cascade_replacement": "an item's chance to be replaced"}
    used = [arm for arm in uses if arm in of_arm and _rewrites_history(of_arm[arm], arm)]
    return " ".join(f"In arm {arm} {uses[arm]} goes by its weight." for arm in used) or (
        "No arm of this run uses them."
    )


def weight_by_effect(spec: Spec) -> str:
    """Say in a sentence how a weight follows from the cascade effect."""
    if spec["gamma"] == 0 or spec["weight_clip"] == 1:
        return "With these settings all items weigh the same."
    return f"An item's weight {'falls' if spec['gamma'] > 0 else 'rises'} with the effect."


def _arm(spec: Spec, arm: str, history: Callable[[Spec], str] | None) -> str:
    if history is None:
        return "without perturbations"
    levels = [history(spec)] if _rewrites_history(spec, arm) else []
    if spec["epsilon_match"] > 0 and spec["lambda_match"] > 0:
        levels.append("the vectors of each score perturbed")
    if not levels:
        return "without perturbations, as both levels are switched off"
    every = f", in one of {spec['perturb_every']} steps" if spec["perturb_every"] > 1 else ""
    return f"with {', and '.join(levels)}{every}"


def _rewrites_history(spec: Spec, arm: str) -> bool:
    strength = spec["replace_share"] if arm == "cascade_replacement" else spec["epsilon_history"]
    return bool(strength > 0 and spec["lambda_history"] > 0)


def _everywhere_alike(spec: Spec) -> str:
    share = spec["perturb_share"]
    if share is None:
        return f"history items perturbed with equal strength everywhere, {_way(spec)}"
    return f"{_percent(share)} of a history's items moved, each as likely as the other, {_way(spec)}"


def _by_weight(spec: Spec) -> str:
    share = spec["perturb_share"]
    if share is None:
        return f"history items perturbed, re-scaled by each one's cascade weight, {_way(spec)}"
    return f"at most {_percent(share)} of a history's items moved on average, {_CHANCE}, {_way(spec)}"


def _replaced(spec: Spec) -> str:
    share, by = _percent(spec["replace_share"]), _PUT_IN[spec["replace_by"]]
    return f"at most {share} of a history's items replaced on average by {by}, {_CHANCE}"


def _way(spec: Spec) -> str:
    if spec["perturb_towards"] == "gradient":
        return "along the gradient"
    return f"towards the worst of {spec['replace_candidates']} drawn items"


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
