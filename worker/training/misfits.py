"""Settings of a spec that do not go with each other, though each by itself is in its range."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.training.spec import TrainSpec


MOST_ATTACKS = 5000
"""The grid of every position, count of 1, 2, 3, 5 and replacement has 64 cells."""


def misfits(spec: TrainSpec) -> Iterator[tuple[str, str]]:
    """Yield (field, what is wrong) for settings that do not go with others."""
    if spec.warmup_epochs >= spec.epochs:
        yield (
            "warmup_epochs",
            f"warmup_epochs ({spec.warmup_epochs}) must be less than epochs ({spec.epochs}): "
            "no model may be chosen before the warm-up ends",
        )
    elif spec.epsilon_ramp_epochs and spec.whole_epsilon_after >= spec.epochs:
        yield (
            "epsilon_ramp_epochs",
            f"warmup_epochs ({spec.warmup_epochs}) and epsilon_ramp_epochs ({spec.epsilon_ramp_epochs}) "
            f"together must be less than epochs ({spec.epochs}): no model may be chosen before ε is whole",
        )
    if spec.stability_changes and spec.whole_epsilon_after >= spec.stability_epochs:
        ramp = f" and epsilon_ramp_epochs ({spec.epsilon_ramp_epochs})" if spec.epsilon_ramp_epochs else ""
        yield (
            "stability_epochs",
            f"stability_epochs ({spec.stability_epochs}) must be more than warmup_epochs "
            f"({spec.warmup_epochs}){ramp}{' together' if ramp else ''}: otherwise no arm meets its whole "
            "adversary",
        )
    if spec.learning_rate_warmup_epochs > spec.epochs:
        yield (
            "learning_rate_warmup_epochs",
            f"learning_rate_warmup_epochs ({spec.learning_rate_warmup_epochs}) must not be more than "
            f"epochs ({spec.epochs})",
        )
    if spec.model == "sasrec" and spec.hidden_size % spec.heads:
        yield "heads", f"heads ({spec.heads}) must divide hidden_size ({spec.hidden_size})"
    if spec.model != "sasrec" and spec.block == "ligr":
        yield "block", f"block ligr is self-attention's and needs model sasrec, not {spec.model}"
    if spec.perturb_share is not None and spec.perturb_towards != "items":
        yield (
            "perturb_share",
            f"perturb_share needs perturb_towards items, not {spec.perturb_towards}",
        )
    if spec.search_shares:
        yield from _search_misfits(spec)
    yield from _attack_misfits(spec)
    if spec.negative_sampling == "popularity" and spec.loss != "sampled_softmax":
        yield (
            "negative_sampling",
            f"negative_sampling popularity needs loss sampled_softmax, not {spec.loss}",
        )
    lists = ("arms", "seeds", "attack_positions", "attack_counts", "attack_replacements", "search_shares")
    for field in lists:
        values = getattr(spec, field)
        if len(set(values)) != len(values):
            yield field, f"{field} names a value twice: {list(values)}"
    if spec.seed != spec.seeds[0]:
        yield "seed", f"seed ({spec.seed}) must be the first of seeds {list(spec.seeds)}; give either one"


def _attack_misfits(spec: TrainSpec) -> Iterator[tuple[str, str]]:
    """More attacks than anybody waits for."""
    cells = len(spec.attack_positions) * len(spec.attack_counts) * len(spec.attack_replacements)
    if cells * spec.attack_repeats > MOST_ATTACKS:
        yield (
            "attack_counts",
            f"{len(spec.attack_positions)} attack_positions × {len(spec.attack_counts)} attack_counts × "
            f"{len(spec.attack_replacements)} attack_replacements × {spec.attack_repeats} attack_repeats are "
            f"{cells * spec.attack_repeats:,} attacks on every user; at most {MOST_ATTACKS:,}",
        )


def _search_misfits(spec: TrainSpec) -> Iterator[tuple[str, str]]:
    """What a search for the share needs: accuracy to hold arms to, and a history level that has a share."""
    if spec.arms[0] != "standard" or len(spec.arms) == 1:
        yield (
            "search_shares",
            "search_shares holds other arms to standard's accuracy: arms must begin with standard and name "
            f"another, not {list(spec.arms)}",
        )
    moving = [arm for arm in spec.arms if arm in ("adversarial", "cascade")]
    if moving and spec.perturb_towards != "items":
        yield (
            "search_shares",
            f"search_shares needs perturb_towards items, not {spec.perturb_towards}: along the gradient arm "
            f"{moving[0]} moves all items, and no share of them",
        )
    switched_off = [
        name
        for name in ("lambda_history", "epsilon_history")
        if getattr(spec, name) == 0 and (moving or name == "lambda_history")
    ]
    if switched_off and len(spec.arms) > 1:
        yield (
            "search_shares",
            f"search_shares has nothing to search: {switched_off[0]} 0 switches the history level off",
        )
