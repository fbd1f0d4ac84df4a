"""One training interaction that is removed or replaced: which one, and the data without it.

After Oh et al., "Rank List Sensitivity of Recommender Systems to Interaction Perturbations" (CIKM 2022), who
change one interaction, at random or where its cascade effect is highest, and compare what users are shown.
The effect is this project's C(u, t) (docs/method.md), of which among equal ones chance decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from worker.training.adversary.cascade import Float64, cascade_effects
from worker.training.data.batching import Windows, cut_windows
from worker.training.data.sequences import Int64, Sequences, ragged_positions
from worker.training.data.split import Split
from worker.training.seeding import derive_seed
from worker.training.spec import TrainSpec

ChangeKind = Literal["removed", "replaced"]
Choice = Literal["random", "highest_cascade"]
CHOICES: tuple[Choice, ...] = ("random", "highest_cascade")


@dataclass(frozen=True)
class Change:
    """What is done to the interaction at `position` of the flat training items.

    nth: which of its choice, from 1. item: what takes its place, 0 = nothing (removed). effect: its cascade
    effect; from_end: its place in its training window, 1 is the last input.
    """

    kind: ChangeKind
    chosen: Choice
    nth: int
    position: int
    item: int
    effect: float
    from_end: int

    @property
    def name(self) -> str:
        """What it is called; of the same data it stands for the same change, however many there are."""
        return f"{self.kind}_{self.chosen}_{self.nth}"

    def applied(self, train: Sequences) -> Sequences:
        """Return the training sequences with this one change; users and items keep their numbers."""
        items, times, offsets = train.items.copy(), train.times, train.offsets
        if self.kind == "replaced":
            items[self.position] = self.item
            return replace(train, items=items)
        if times is not None:
            times = np.delete(times, self.position)
        offsets = offsets - (offsets > self.position)
        return replace(train, items=np.delete(items, self.position), times=times, offsets=offsets)

    def facts(self) -> dict[str, Any]:
        """What the report says of it; it names neither user nor item."""
        return {
            "change": self.kind,
            "chosen": self.chosen,
            "effect": self.effect,
            "from_end": self.from_end,
        }


def choose_changes(split: Split, spec: TrainSpec) -> list[Change]:
    """Return up to `stability_changes` interactions of each choice, each to be removed and to be replaced.

    Of the inputs of training windows; where a user's windows would be fewer without it, so that batches could
    not stay as they are, it is passed over. A function of the data and the spec's `attack_seed`.
    """
    windows = cut_windows(split.train, spec.max_length, spec.windows_per_user)
    effects = cascade_effects(windows, split.n_items, spec.kappa)
    inputs = ragged_positions(windows.starts, windows.lengths)
    eligible = _eligible(split.train, windows, spec)
    changes = []
    for chosen in CHOICES:
        rng = np.random.default_rng(derive_seed(spec.attack_seed, "stability", chosen))
        taken = _chosen(eligible, effects, chosen, rng)[: spec.stability_changes]
        for nth, at in enumerate(taken, start=1):
            window = int(np.searchsorted(windows.offsets, at, side="right")) - 1
            position, user = int(inputs[at]), int(windows.user[window])
            removed = Change(
                kind="removed",
                chosen=chosen,
                nth=nth,
                position=position,
                item=0,
                effect=float(effects[at]),
                from_end=int(windows.offsets[window + 1] - at),
            )
            other = _other_item(split, user, position, rng)
            changes += [removed, replace(removed, kind="replaced", item=other)]
    return changes


def _eligible(train: Sequences, windows: Windows, spec: TrainSpec) -> Int64:
    """The flat input positions whose user has as many windows without one interaction."""
    n_targets = np.maximum(train.lengths - 1, 0)
    count, fewer = (
        np.minimum(-(-np.maximum(n, 0) // spec.max_length), spec.windows_per_user)
        for n in (n_targets, n_targets - 1)
    )
    window_keeps = (count == fewer)[windows.user]
    return np.flatnonzero(np.repeat(window_keeps, windows.lengths))


def _chosen(eligible: Int64, effects: Float64, chosen: Choice, rng: np.random.Generator) -> Int64:
    """All eligible positions in the order they are taken in."""
    shuffled = rng.permutation(eligible)
    if chosen == "random":
        return shuffled
    return shuffled[np.argsort(-effects[shuffled], kind="stable")]


def _other_item(split: Split, user: int, position: int, rng: np.random.Generator) -> int:
    """Draw an item that is new to the user, their targets included; any but the same where there is none.

    A catalogue of one item has no other: the same then stands there again.
    """
    known = np.zeros(split.n_items + 1, dtype=np.bool_)
    known[0] = True
    known[split.train.of(user)] = True
    for phase in ("validation", "test"):
        known[split.targets(phase)[split.users(phase) == user]] = True
    free = np.flatnonzero(~known)
    if not len(free):
        free = np.delete(np.arange(1, split.n_items + 1), int(split.train.items[position]) - 1)
    return int(rng.choice(free)) if len(free) else int(split.train.items[position])
