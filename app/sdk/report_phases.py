"""What a report says of the phases that a job has only if its spec asks for them: stability, and a search.

Part of `app.sdk.reports`, which says how the types are held to the schema.
"""

from __future__ import annotations

from typing import Literal, TypedDict

_StableNdcg = TypedDict("_StableNdcg", {"ndcg@10": float})


class ListStability(_StableNdcg):
    """How like the lists of two trainings are, and what the second one's are worth."""

    change: Literal["seed", "removed", "replaced"]
    chosen: Literal["random", "highest_cascade"] | None
    jaccard: float
    overlap: float
    rbo: float
    top1_changed: float


class StabilityChange(ListStability):
    """Means over the `n` trainings with one kind of change."""

    n: int


class Retraining(ListStability):
    """One training with one interaction changed; `effect` and `from_end` are the interaction's."""

    effect: float | None
    from_end: int | None


class ArmStability(_StableNdcg):
    """Rank-list stability of one arm."""

    changes: list[StabilityChange]
    retrainings: list[Retraining]


class StabilityReport(TypedDict):
    """Rank-list stability under one changed training interaction."""

    seed: int
    epochs: int
    kappa: float
    users: int
    complete: bool
    arms: dict[str, ArmStability]


_Searched = TypedDict("_Searched", {"ndcg@10": float, "attacked_ndcg@10": float | None})


class ShareTrial(_Searched):
    """An arm trained at one share: validation figures, `of_standard` as a share of standard's NDCG@10."""

    share: float
    of_standard: float | None
    best_epoch: int
    epochs: int
    stop_reason: Literal["epochs", "patience", "max_runtime"]
    seconds: float


class ArmSearch(TypedDict):
    """Which share was chosen for an arm, of those that were tried."""

    setting: Literal["perturb_share", "replace_share"]
    share: float
    accurate_enough: bool
    complete: bool
    diverged: list[float]
    trials: list[ShareTrial]


class SearchReport(TypedDict):
    """How arms' shares were chosen on validation."""

    seed: int
    floor: float
    standard: _Searched
    complete: bool
    arms: dict[str, ArmSearch]
