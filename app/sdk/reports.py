"""Reports as types: what `client.jobs.report()` and `client.evaluations.report()` return.

They are plain dicts, as the service sent them, so that a field of a newer service can be read before the SDK
knows it. The types follow docs/report.schema.json; docs/report.md says what each field means; a test holds
one to the other.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from app.sdk.report_figures import ArmCost, ArmReport, MeasuredReport, PairedDifference, ReportWarning
from app.sdk.report_phases import SearchReport, StabilityReport


class CascadeCounts(TypedDict):
    """What the attack at the highest cascade effect counts effects by."""

    kappa: float
    windows_per_user: int


class AttackGrid(TypedDict):
    """Which attacks were made."""

    positions: list[str]
    counts: list[int]
    replacements: list[str]
    repeats: int
    seed: int
    cascade: NotRequired[CascadeCounts]


class ReportProtocol(TypedDict):
    """How everything was measured; the shares are there for a temporal split."""

    split: str
    validation_share: NotRequired[float]
    test_share: NotRequired[float]
    ranking: str
    ties: str
    exclude_seen: bool
    metrics_at: list[int]
    chosen_by: str
    max_length: int
    definitions: int
    attack: AttackGrid


class ReportSplit(TypedDict):
    """What the split held out; what is not always there belongs to a temporal one."""

    name: str
    train_interactions: int
    validation_users: int
    test_users: int
    leakage_share: float | None
    validation_from: NotRequired[str]
    test_from: NotRequired[str]
    validation_users_without_history: NotRequired[int]
    test_users_without_history: NotRequired[int]
    tied_targets_share: NotRequired[float]


class ReportDataset(TypedDict):
    """The data after the filters."""

    users: int
    items: int
    interactions: int
    eval_users: int
    split: ReportSplit
    cut_interactions: int
    tied_last_two_share: float | None
    cold_targets: int
    cold_validation_targets: int
    repeated_targets: NotRequired[int]
    content_sha256: str


class CascadePosition(TypedDict):
    """Effects and weights at one place in the window: 5, 25, 50, 75 and 95 % quantiles."""

    from_end: int
    inputs: int
    effect: list[float]
    effect_kappa_1: list[float]
    weight: list[float]


class CascadeExample(TypedDict):
    """One training window, oldest item first."""

    items: list[str]
    effects: list[float]
    weights: list[float]


class CascadeReport(TypedDict):
    """Cascade effects of the training windows, and the weights made of them."""

    kappa: float
    gamma: float
    weight_clip: float
    by_position: list[CascadePosition]
    example: CascadeExample


WarmStart = TypedDict(
    "WarmStart",
    {"from": str, "sha256": str, "items_known": int, "items_new": int, "items_dropped": int},
)
"""Whose weights training started from."""


class ReportEnvironment(TypedDict):
    """Where it ran."""

    python: str
    platform: str
    torch: str
    numpy: str
    polars: str
    threads: int
    device: str
    device_name: str


class _Report(TypedDict):
    schema_version: Literal[1]
    protocol: ReportProtocol
    protocol_hash: str
    dataset: ReportDataset
    baselines: dict[str, MeasuredReport]
    comparisons: list[PairedDifference]
    warnings: list[ReportWarning]
    verdict: str
    spec: dict[str, Any]
    environment: ReportEnvironment


class JobReport(_Report):
    """What a job found; `arms`, `baselines`, and those of `stability` and `search` are by name."""

    arms: dict[str, ArmReport]
    costs: list[ArmCost]
    cascade: CascadeReport
    warm_start: NotRequired[WarmStart | None]
    stability: StabilityReport | None
    search: NotRequired[SearchReport | None]


class TrainedOn(TypedDict):
    """The data set that a model was trained on; None where that is no longer known."""

    id: str | None
    name: str | None
    sha256: str | None


class EvaluatedModel(TypedDict):
    """The model that was measured."""

    id: str
    name: str
    version: int
    arm: str
    seed: int
    job: str | None
    trained_on: TrainedOn
    trained_on_this: bool


class UnknownItems(TypedDict):
    """What of the data set the model does not know."""

    items: int
    interactions: int
    examples: list[str]
    missed_targets: int
    users_without_known_history: int


class TrainingOverlap(TypedDict):
    """How many test targets were in the model's own training; None where that could not be checked."""

    checked: bool
    targets_in_training: int | None


class EvaluationReport(_Report):
    """What an evaluation of a stored model found; `arms` has the model's alone."""

    kind: Literal["evaluation"]
    model: EvaluatedModel
    unknown: UnknownItems
    training: TrainingOverlap
    arms: dict[str, MeasuredReport]
