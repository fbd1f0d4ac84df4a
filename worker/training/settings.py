"""The settings of a training run, grouped by what they govern, with their defaults and limits.

Each field's docstring is its description in the API's schema, in the guide of `steadyrank train` and in the
SDK. `TrainSpec` puts the groups together. No torch here, so the API process may import it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from worker.training.setting_types import Distinct, Fraction, Seed, Share, kinds_of, refuse_other_kinds

ModelName = Literal["sasrec", "gru4rec"]
Arm = Literal["standard", "adversarial", "cascade", "cascade_replacement"]
LossName = Literal["bce", "sampled_softmax", "gbce", "softmax"]
AttackPosition = Literal["end", "start", "random", "highest_cascade"]
Block = Literal["original", "pre_norm", "ligr"]
Initialisation = Literal["normal", "truncated_normal", "xavier"]
ItemNormalisation = Literal["none", "items", "cosine"]
LearningRateDecay = Literal["none", "linear", "cosine"]
Replacement = Literal["uniform", "popularity"]
HistoryReplacement = Literal["uniform", "popularity", "gradient"]
PerturbTowards = Literal["gradient", "items"]
AttackReplacement = Literal["uniform", "popularity", "nearest", "gradient"]

DEFAULT_WARMUP_EPOCHS = 10


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _of_its_own_kind(cls, given: Any, info: ValidationInfo) -> Any:
        """Refuse true, "yes" or "0016" where a number is meant: pydantic would take them for one."""
        field = cls.model_fields[info.field_name or ""]
        refuse_other_kinds(given, kinds_of(field.annotation))
        return given


class DataSettings(_Settings):
    """Which interactions are learnt from, and how they are cut into training sequences."""

    min_rating: float | None = None
    """Drop interactions rated below this (needs a rating column; same unit as the data). null keeps all."""
    k_core: int = Field(default=0, ge=0, le=1000)
    """Repeat until stable: drop users and items with fewer than this many interactions. 0 keeps all."""
    max_length: int = Field(default=50, ge=2, le=2000)
    """Input positions a model reads: the last this many interactions of a history."""
    windows_per_user: int = Field(default=1, ge=1, le=1000)
    """Training windows cut from each user, the last one first, then earlier ones without shared targets."""
    split: Literal["leave_one_out", "temporal"] = "leave_one_out"
    """`leave_one_out` (each user's last two items are held out) or `temporal` (everything after a moment is;
    needs times)."""
    validation_share: float = Field(default=0.1, gt=0.0, lt=0.5)
    """Split `temporal`: share of all interactions that lie in the validation period."""
    test_share: float = Field(default=0.1, gt=0.0, lt=0.5)
    """Split `temporal`: share of all interactions that lie in the test period, which follows it."""


class ModelSettings(_Settings):
    """The network."""

    model: ModelName = "sasrec"
    """`sasrec` (self-attention) or `gru4rec` (recurrent, in its user-sequence form)."""
    hidden_size: int = Field(default=64, ge=4, le=1024)
    """Width of item embeddings and hidden states."""
    blocks: int = Field(default=2, ge=1, le=16)
    """Self-attention blocks of SASRec, or stacked GRU layers of GRU4Rec."""
    heads: int = Field(default=1, ge=1, le=16)
    """Attention heads of SASRec; must divide `hidden_size`. GRU4Rec has none and ignores it."""
    block: Block = "original"
    """What a layer is made of: as in the model's paper (`original`), `pre_norm` (a layer norm before, a plain
    residual around), or, for SASRec, `ligr` (gated residuals, SwiGLU; eSASRec)."""
    feed_forward_multiplier: int = Field(default=1, ge=1, le=16)
    """Width of SASRec's feed-forward networks, in multiples of `hidden_size`. GRU4Rec has none."""
    dropout: Fraction = 0.5
    """Probability that an activation is zeroed in training."""
    embedding_dropout: Fraction | None = None
    """The same on the input embeddings; null is `dropout`."""
    attention_dropout: Fraction | None = None
    """The same on SASRec's attention weights; null is `dropout`."""
    initialisation: Initialisation = "normal"
    """Fresh weights: `normal` (embeddings normal, other matrices Xavier uniform), `truncated_normal` (all
    matrices, cut at two standard deviations) or `xavier` (all matrices, Xavier normal)."""
    initialisation_std: float = Field(default=0.02, gt=0.0, le=1.0)
    """Standard deviation of `normal` and `truncated_normal`."""
    item_normalisation: ItemNormalisation = "none"
    """In scores: `items` scales item embeddings to length 1, `cosine` the hidden state as well."""
    temperature: float = Field(default=1.0, gt=0.0, le=1000.0)
    """Scores are divided by this; `cosine` wants about 0.05."""


class OptimiserSettings(_Settings):
    """The ranking loss, Adam, and when training stops."""

    loss: LossName = "bce"
    """Ranking loss: `bce` (one sampled negative a position), `sampled_softmax` and `gbce` (gSASRec's), both
    with `negatives` of them, or `softmax` over the whole catalogue."""
    negatives: int = Field(default=256, ge=1, le=100_000)
    """Sampled negatives of `sampled_softmax` and `gbce`, shared by the positions of a window."""
    negative_sampling: Replacement = "uniform"
    """How `sampled_softmax` draws negatives: uniformly, or by training popularity with a logQ correction."""
    gbce_t: float = Field(default=0.75, ge=0.0, le=1.0)
    """Calibration t of `gbce`: 0 is plain cross-entropy, 1 undoes all overconfidence from sampling."""
    epochs: int = Field(default=400, ge=1, le=100_000)
    """At most this many passes over the training sequences, warm-up included."""
    batch_size: int = Field(default=256, ge=1, le=65_536)
    """Mean number of sequences in a batch; batches hold about equal numbers of targets."""
    optimiser: Literal["adam", "adamw"] = "adam"
    """`adam`, or `adamw`, whose weight decay does not pass through Adam's scaling."""
    learning_rate: float = Field(default=1e-3, gt=0.0, le=1.0)
    """Adam's step size; its highest, where a schedule moves it."""
    learning_rate_warmup_epochs: int = Field(default=0, ge=0, le=100_000)
    """The learning rate rises linearly over this many first epochs."""
    learning_rate_decay: LearningRateDecay = "none"
    """How the learning rate falls from there to the last of `epochs`."""
    learning_rate_floor: float = Field(default=0.0, ge=0.0, le=1.0)
    """Where a falling learning rate ends, as a fraction of `learning_rate`."""
    adam_beta1: Fraction = 0.9
    """Adam's decay of the gradient's running mean."""
    adam_beta2: Fraction = 0.98
    """Adam's decay of the gradient's running second moment."""
    weight_decay: float = Field(default=0.0, ge=0.0, le=1.0)
    """L2 penalty added to the gradient, or with `adamw` the share of a weight that is taken off it for a
    learning rate of 1; the padding row is never decayed."""
    clip_norm: float = Field(default=0.0, ge=0.0)
    """Largest global gradient norm; 0 switches clipping off."""
    patience: int = Field(default=10, ge=1, le=100_000)
    """Stop after this many validations without a better validation NDCG@10."""
    min_epochs: int = Field(default=60, ge=0, le=100_000)
    """Patience is not counted before this epoch (GRU4Rec sits on a popularity plateau for a while)."""
    validate_every: int = Field(default=5, ge=1, le=10_000)
    """Epochs between two validations; the last epoch has one as well."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the forward pass; `bfloat16` runs under autocast, the weights stay float32, and on a GPU
    so do the recurrent layers of GRU4Rec."""
    checkpoint_minutes: float = Field(default=2.0, ge=0.0, le=1440.0)
    """Minutes between two checkpoints of a running arm; 0 writes one at every epoch's end."""
    seed: Seed = 0
    """Seed of initialisation, batch order, negatives and dropout, when one seed is enough."""
    seeds: Distinct[Seed] = Field(default=(0,), max_length=32)
    """Several seeds, each trained in every arm; left out it is just `seed`, which is always its first."""


class AdversarySettings(_Settings):
    """Cascade-guided adversarial training (docs/method.md)."""

    arms: Distinct[Arm] = Field(default=("standard", "adversarial", "cascade"), min_length=1, max_length=4)
    """Training procedures to compare: plain, generic adversarial (γ = 0), cascade-guided, and on request
    `cascade_replacement` (not the paper's)."""
    warmup_epochs: int = Field(default=DEFAULT_WARMUP_EPOCHS, ge=0, le=100_000)
    """Epochs of standard training before the adversarial losses start, shared by all arms of a seed; left
    out it is 10, or half of `epochs` where that is less."""
    epsilon_match: float = Field(default=0.03, ge=0.0, le=10.0)
    """ε1: length of the matching-level perturbation, as a fraction of the perturbed vectors' mean length."""
    epsilon_history: float = Field(default=1.0, ge=0.0, le=10.0)
    """ε2: length of the history-level perturbation, as a fraction of the mean item-embedding length; along
    the gradient 0.1 when left out."""
    lambda_match: float = Field(default=1.0, ge=0.0, le=100.0)
    """λ1: weight of the matching-level loss; 0 switches that level off."""
    lambda_history: float = Field(default=1.0, ge=0.0, le=100.0)
    """λ2: weight of the history-level loss; 0 switches that level off."""
    perturb_every: int = Field(default=1, ge=1, le=1000)
    """The adversarial losses are added at every n-th step after the warm-up, n this number; the others are
    standard steps."""
    epsilon_ramp_epochs: int = Field(default=0, ge=0, le=100_000)
    """Epochs after the warm-up over which ε1 and ε2 grow linearly from 0; no model is chosen before they end.
    0 starts with all of both."""
    perturb_towards: PerturbTowards = "items"
    """Where arms `adversarial` and `cascade` move history embeddings: along the `gradient`, or towards the
    worst to first order of some `items` drawn alike for a window (not the paper's)."""
    perturb_share: Share | None = 0.1
    """With `perturb_towards` `items`: mean share of a history's items that are moved, each by the whole of ε2
    and with a chance that goes by its weight; null moves all, by ε2 times their weight."""
    kappa: float = Field(default=0.0, ge=0.0, le=1000.0)
    """κ: weight of other sequences' predictions in a cascade effect; 0 counts the user's own alone."""
    gamma: float = Field(default=1.0, ge=-4.0, le=4.0)
    """γ: how strongly the cascade arm's perturbation shrinks with the cascade effect; 0 is generic."""
    weight_clip: float = Field(default=5.0, ge=1.0, le=1000.0)
    """c: cascade weights are clipped to [1/c, c] before they are scaled to a root mean square of 1."""
    replace_share: float = Field(default=0.15, ge=0.0, le=1.0)
    """Arm `cascade_replacement`: mean share of a history's items that its second pass replaces; 0 switches
    that pass off."""
    replace_by: HistoryReplacement = "uniform"
    """Arm `cascade_replacement`: what replaces an item: any other alike (`uniform`), drawn by training
    `popularity`, or the worst to first order of some drawn alike (`gradient`)."""
    replace_candidates: int = Field(default=64, ge=1, le=4096)
    """Items drawn for a window, which `replace_by` `gradient` and `perturb_towards` `items` choose among."""
    search_shares: Distinct[Share] = Field(default=(), max_length=16)
    """Shares to choose each arm's `perturb_share` or `replace_share` among, whatever these say: all are
    trained with the first seed, and the steadiest on validation that is accurate enough is taken. [] searches
    none."""
    search_floor: float = Field(default=1.03, ge=0.0, le=2.0)
    """What a share must have of standard's clean validation NDCG@10 to be accurate enough; where none has it,
    the most accurate is taken. Above 1, as part of what a choice gains on validation is lost on test."""


class EvaluationSettings(_Settings):
    """Full-ranking evaluation and item-replacement attacks at test time."""

    exclude_seen: bool = True
    """Leave all of a user's earlier items out of the ranking (not only those in the window), but for the
    target itself."""
    attack_positions: Distinct[AttackPosition] = ("end", "start", "random")
    """Where in the window items are replaced; `highest_cascade` takes those of the highest cascade effect."""
    attack_counts: Distinct[Annotated[int, Field(ge=1, le=100)]] = (1, 2, 5)
    """How many items are replaced; only users with more than so many items in the window take part."""
    attack_replacements: Distinct[AttackReplacement] = ("uniform", "popularity")
    """What replaces an item: any item alike (`uniform`), drawn in proportion to training `popularity`
    whatever it replaces, the `nearest` by co-occurrence, or the worst for the model to first order
    (`gradient`)."""
    attack_repeats: int = Field(default=3, ge=1, le=100)
    """Independent draws of every attack; figures are their mean."""
    attack_seed: Seed = 0
    """Seed of the attacks' draws: the same in every arm and seed, so that arms meet the same attack."""


class StabilitySettings(EvaluationSettings):
    """The optional last phase, which trains again."""

    stability_changes: int = Field(default=0, ge=0, le=100)
    """Rank-list stability: training interactions that are removed, and then replaced, one at a time, with
    every arm trained again each time; as many chosen at random as by cascade effect. 0 is off."""
    stability_epochs: int = Field(default=20, ge=1, le=100_000)
    """Epochs of each of these trainings, all of which run to the end (at most `epochs`)."""
