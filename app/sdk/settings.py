"""The settings of jobs and evaluations as types: what `create` and `validate` take by name.

A test holds them to the service's OpenAPI document; docs/api.md says what each is for and what it is if left
out. The service checks them whatever the types say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict


class EvaluationSettings(TypedDict, total=False):
    """How data are read and split, and what a model is measured by."""

    exclude_seen: bool
    attack_positions: Sequence[Literal["end", "start", "random", "highest_cascade"]]
    attack_counts: Sequence[int]
    attack_replacements: Sequence[Literal["uniform", "popularity", "nearest", "gradient"]]
    attack_repeats: int
    attack_seed: int
    split: Literal["leave_one_out", "temporal"]
    validation_share: float
    test_share: float
    min_rating: float | None
    k_core: int


class TrainingSettings(EvaluationSettings, total=False):
    """How arms are trained, and trained again for the stability of their lists."""

    stability_changes: int
    stability_epochs: int

    arms: Sequence[Literal["standard", "adversarial", "cascade", "cascade_replacement"]]
    warmup_epochs: int
    epsilon_match: float
    epsilon_history: float
    lambda_match: float
    lambda_history: float
    perturb_every: int
    epsilon_ramp_epochs: int
    perturb_towards: Literal["gradient", "items"]
    perturb_share: float | None
    kappa: float
    gamma: float
    weight_clip: float
    replace_share: float
    replace_by: Literal["uniform", "popularity", "gradient"]
    replace_candidates: int
    search_shares: Sequence[float]
    search_floor: float
    loss: Literal["bce", "sampled_softmax", "gbce", "softmax"]
    negatives: int
    negative_sampling: Literal["uniform", "popularity"]
    gbce_t: float
    epochs: int
    batch_size: int
    optimiser: Literal["adam", "adamw"]
    learning_rate: float
    learning_rate_warmup_epochs: int
    learning_rate_decay: Literal["none", "linear", "cosine"]
    learning_rate_floor: float
    adam_beta1: float
    adam_beta2: float
    weight_decay: float
    clip_norm: float
    patience: int
    min_epochs: int
    validate_every: int
    precision: Literal["float32", "bfloat16"]
    checkpoint_minutes: float
    seed: int
    seeds: Sequence[int]
    model: Literal["sasrec", "gru4rec"]
    hidden_size: int
    blocks: int
    heads: int
    block: Literal["original", "pre_norm", "ligr"]
    feed_forward_multiplier: int
    dropout: float
    embedding_dropout: float | None
    attention_dropout: float | None
    initialisation: Literal["normal", "truncated_normal", "xavier"]
    initialisation_std: float
    item_normalisation: Literal["none", "items", "cosine"]
    temperature: float
    max_length: int
    windows_per_user: int
    init_from: str | None
    preset: Literal["paper", "strong"] | None


class JobSettings(TrainingSettings, total=False):
    """The training settings, and what else a job has: a name, labels, a priority, limits."""

    name: str | None
    labels: Mapping[str, str]
    priority: int
    max_runtime: int | None
    max_pending: int | None
