"""The share of a history that an arm perturbs: whose setting it is, and what a training at one is called.

Where a share is searched (`search_shares`), an arm's trainings stand under names of their own,
`cascade_at_0.1`, in checkpoints, epochs and phases.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from worker.training.settings import Arm
from worker.training.spec import TrainSpec

SETTING: Final[Mapping[str, str]] = MappingProxyType(
    {
        "adversarial": "perturb_share",
        "cascade": "perturb_share",
        "cascade_replacement": "replace_share",
    }
)
"""By arm, the setting that holds its share; `standard` has none."""
_AT = "_at_"


def is_searched(spec: TrainSpec, arm: str) -> bool:
    """Whether the arm's share is to be chosen among `search_shares`."""
    return bool(spec.search_shares) and arm in SETTING


def at_share(spec: TrainSpec, arm: Arm, share: float | None) -> TrainSpec:
    """Return the spec that the arm trains by at a share; None is the spec's own."""
    return spec if share is None else spec.model_copy(update={SETTING[arm]: share})


def name_at(arm: str, share: float | None) -> str:
    """Return the name of the arm's trainings at a searched share; the arm's own for None."""
    return arm if share is None else f"{arm}{_AT}{share}"


def arm_of(name: str) -> str:
    """Return the arm that a training of that name is of."""
    return name.partition(_AT)[0]


def chosen_settings(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return by arm the setting that a report's search chose, with its value: {arm: {setting: share}}."""
    arms = (report.get("search") or {"arms": {}})["arms"]
    return {arm: {body["setting"]: body["share"]} for arm, body in arms.items()}


def names_of(spec: TrainSpec, arm: Arm) -> list[str]:
    """Return the names that the arm's trainings may have."""
    shares = spec.search_shares if is_searched(spec, arm) else (None,)
    return [name_at(arm, share) for share in shares]


def n_trainings(spec: TrainSpec, arm: Arm, seed: int) -> int:
    """Return how often the arm is trained with that seed: once, or with the first at every share."""
    return len(spec.search_shares) if is_searched(spec, arm) and seed == spec.seeds[0] else 1


def epochs_of(spec: TrainSpec, trainings: int) -> int:
    """Return the epochs of so many trainings of one seed and their warm-up, if none ends early."""
    return spec.warmup_epochs + trainings * (spec.epochs - spec.warmup_epochs)


def all_epochs(spec: TrainSpec) -> int:
    """Return the epochs of all arms and seeds, warm-ups included, if none ends early."""
    return sum(epochs_of(spec, sum(n_trainings(spec, arm, seed) for arm in spec.arms)) for seed in spec.seeds)
