"""What is fixed before the first run: settings, grids, seeds, attacks. docs/study.md says it in words.

A run's settings are written out here, all of them, never left to the library's defaults, which may
follow this study.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from worker.training.settings import Arm

DataName = Literal["beauty", "ml-100k", "toys", "video"]
Model = Literal["sasrec", "gru4rec"]
Preset = Literal["paper", "strong", "strong-one-window"]
Round = Literal[1, 2, 3, 4, 5]
Settings = Mapping[str, Any]
"""Fields of a TrainSpec."""

FILES: Final[Mapping[DataName, str]] = {
    "beauty": "Beauty.txt",
    "ml-100k": "ml-100k.inter",
    "toys": "Toys_and_Games.txt",
    "video": "Video.txt",
}
SEARCHED: Final[tuple[DataName, ...]] = ("beauty", "ml-100k")
"""Data sets that settings are searched on; the others take them over."""
SEARCHED_BESIDES: Final[tuple[DataName, ...]] = ("toys", "video")
"""Those that are searched themselves as well, for a comparison that decides no target."""
ARMS: Final[tuple[Arm, ...]] = ("standard", "adversarial", "cascade", "cascade_replacement")
COMPARED_ARMS: Final = ARMS[:-1]
"""Those that the targets are about; the last one is our own, and is trained last."""

LEFT_ALONE: Final[Settings] = {
    "split": "leave_one_out",
    "min_rating": None,
    "k_core": 0,
    "validation_share": 0.1,
    "test_share": 0.1,
    "block": "original",
    "feed_forward_multiplier": 1,
    "attention_dropout": None,
    "embedding_dropout": None,
    "initialisation": "normal",
    "initialisation_std": 0.02,
    "item_normalisation": "none",
    "temperature": 1.0,
    "negatives": 256,
    "negative_sampling": "uniform",
    "gbce_t": 0.75,
    "optimiser": "adam",
    "learning_rate_warmup_epochs": 0,
    "learning_rate_decay": "none",
    "learning_rate_floor": 0.0,
    "precision": "float32",
    "checkpoint_minutes": 2.0,
    "epsilon_match": 0.03,
    "epsilon_history": 0.1,
    "epsilon_ramp_epochs": 0,
    "perturb_every": 1,
    "perturb_towards": "gradient",
    "perturb_share": None,
    "gamma": 1.0,
    "kappa": 0.0,
    "replace_share": 0.15,
    "replace_by": "uniform",
    "replace_candidates": 64,
    "search_shares": [],
    "search_floor": 1.03,
    "attack_seed": 0,
    "stability_changes": 0,
    "stability_epochs": 20,
    "init_from": None,
    "preset": None,
}
"""What no run is known by: each has these where its own settings say nothing else."""

_COMMON: Final[Settings] = {
    "hidden_size": 64,
    "heads": 1,
    "max_length": 50,
    "loss": "bce",
    "learning_rate": 1e-3,
    "adam_beta1": 0.9,
    "adam_beta2": 0.98,
    "weight_decay": 0.0,
    "clip_norm": 0.0,
    "epochs": 200,
    "min_epochs": 40,
    "patience": 8,
    "validate_every": 2,
    "exclude_seen": True,
    "weight_clip": 5.0,
    "lambda_match": 1.0,
    "lambda_history": 1.0,
}
_TO_CONVERGENCE: Final[Settings] = {"epochs": 400, "min_epochs": 60, "patience": 10, "validate_every": 5}
_SPARSE: Final[Settings] = {
    "dropout": 0.5,
    "batch_size": 256,
    "windows_per_user": 1,
    "warmup_epochs": 10,
}
_DENSE: Final[Settings] = {
    "dropout": 0.2,
    "batch_size": 128,
    "windows_per_user": 20,
    "warmup_epochs": 20,
}
_TOWARDS_ITEMS: Final[Settings] = {"perturb_towards": "items", "replace_candidates": 64}
_SOME: Final[Settings] = {**_TOWARDS_ITEMS, "epsilon_history": 1.0}
_STRENGTH: Final[Settings] = {"epsilon_match": 0.03, "gamma": 1.0, "kappa": 0.0, "replace_by": "uniform"}


def share_of(changes: Settings) -> float | None:
    """The share of a history's items that a run moves or replaces; None where it has none."""
    share: float | None = changes.get("perturb_share", changes.get("replace_share"))
    return share


def _each(name: str, values: Sequence[float]) -> list[Settings]:
    return [{name: value} for value in values]


@dataclass(frozen=True)
class Rules:
    """All that decides what is run.

    round: whose trials decide. epsilons: the ε2 that both embedding-noise arms are tried at along the
    gradient, in the first round; item_epsilons: those that the second added, towards items; item_shares: the
    perturb_share of the third, which stands alone. shares: the replace_share that `cascade_replacement` is
    tried at, in these rounds. around: for each arm, what is then changed at its best first trial, in these
    rounds. From the fourth on, convergence is how long `paper` cells are trained, and all three arms are
    tried at converged_shares alone; in the fifth, where windows are long, at of_long_windows as well. arms:
    those that are run. searched: the data sets that settings are searched on; own_shares: what
    SEARCHED_BESIDES are tried at, where they are searched themselves. tuning:
    what `strong` is tuned over, in its standard arm. clean_shares: the part of standard's clean validation
    NDCG@10 that a setting must have to be chosen, before the fourth round and from it on.
    """

    common: Settings = field(default_factory=lambda: _COMMON)
    of_data: Mapping[DataName, Settings] = field(
        default_factory=lambda: {"beauty": _SPARSE, "toys": _SPARSE, "video": _SPARSE, "ml-100k": _DENSE}
    )
    of_model: Mapping[Model, Settings] = field(
        default_factory=lambda: {"sasrec": {"blocks": 2}, "gru4rec": {"blocks": 1}}
    )
    strength: Settings = field(default_factory=lambda: _STRENGTH)
    round: Round = 5
    epsilons: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    item_epsilons: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5)
    item_shares: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.5)
    shares: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3)
    convergence: Settings = field(default_factory=lambda: _TO_CONVERGENCE)
    converged_shares: tuple[float, ...] = (0.1, 0.2, 0.3, 0.5)
    arms: tuple[Arm, ...] = ARMS
    searched: tuple[DataName, ...] = SEARCHED
    own_shares: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3)
    of_long_windows: Mapping[str, tuple[Settings, ...]] = field(
        default_factory=lambda: {
            "adversarial": tuple(_each("perturb_share", (0.05, 0.15, 0.4))),
            "cascade": tuple({**one, "weight_clip": 2.0} for one in _each("perturb_share", (0.1, 0.2, 0.3))),
            "cascade_replacement": tuple(
                {**one, "weight_clip": 2.0} for one in _each("replace_share", (0.1, 0.2, 0.3))
            ),
        }
    )
    around: Mapping[str, tuple[Settings, ...]] = field(
        default_factory=lambda: {
            "adversarial": ({"epsilon_match": 0.0}, {"epsilon_match": 0.1}),
            "cascade": ({"gamma": 0.5, "kappa": 1.0}, {"gamma": 2.0}),
            "cascade_replacement": ({"gamma": 0.5, "kappa": 1.0}, {"replace_by": "popularity"}),
        }
    )
    tuning: tuple[Settings, ...] = tuple(
        {"learning_rate": rate, "dropout": dropout} for rate in (5e-4, 1e-3, 2e-3) for dropout in (0.2, 0.5)
    )
    seeds: tuple[int, ...] = (0, 1, 2)
    clean_shares: tuple[float, float] = (0.98, 1.03)

    @property
    def clean_share(self) -> float:
        """What a setting must keep of standard's clean validation NDCG@10 in this round."""
        return self.clean_shares[self.round >= 4]

    def protocol(self, preset: Preset) -> Settings:
        """Return what all data sets and models have in common in this round."""
        return {**self.common, **self.convergence} if self.round >= 4 and preset == "paper" else self.common

    def first_trials(self, arm: Arm, data: DataName) -> list[Settings]:
        """The grid that an arm's search begins with, which is its frontier too."""
        converges = self.round >= 4
        more = self.of_long_windows[arm] if self.round == 5 and data == "ml-100k" else ()
        if arm == "cascade_replacement":
            shares = self.converged_shares if converges else self.shares
            return [{**self.strength, **one} for one in (*_each("replace_share", shares), *more)]
        if self.round >= 3:
            shares = self.converged_shares if converges else self.item_shares
            return [{**self.strength, **_SOME, **one} for one in (*_each("perturb_share", shares), *more)]
        along = [{**self.strength, "epsilon_history": epsilon} for epsilon in self.epsilons]
        if self.round == 1:
            return along
        return along + [
            {**self.strength, "epsilon_history": epsilon, **_TOWARDS_ITEMS} for epsilon in self.item_epsilons
        ]

    def arms_of(self, model: Model, preset: Preset = "paper") -> tuple[Arm, ...]:
        """Those that are run: our own with SASRec alone, and what is held against RecTools alone in one."""
        if preset == "strong-one-window":
            return ("standard",)
        return tuple(arm for arm in self.arms if model == "sasrec" or arm in COMPARED_ARMS)

    def searched_arms(self, model: Model) -> tuple[Arm, ...]:
        """Those that have settings to be searched."""
        return tuple(arm for arm in self.arms_of(model) if arm != "standard")

    def on_own_data(self) -> Rules:
        """Return the rules by which SEARCHED_BESIDES are searched, in the arms that the targets are about."""
        return replace(self, searched=SEARCHED_BESIDES, arms=COMPARED_ARMS, converged_shares=self.own_shares)

    def of_round(self, number: Round) -> Rules:
        """Return the rules as they were in an earlier round."""
        return replace(self, round=number)

    def second_trials(self, arm: Arm, best: Settings) -> list[Settings]:
        """What is tried around the best of the first trials; as many for each arm."""
        return [] if self.round >= 4 else [{**best, **change} for change in self.around[arm]]


RULES: Final = Rules()


def rehearsal() -> Rules:
    """The same plan with runs of a few epochs: shows that everything works, and nothing else."""
    short = {"epochs": 3, "min_epochs": 0, "validate_every": 1}
    of_data = {data: {**settings, "warmup_epochs": 1} for data, settings in RULES.of_data.items()}
    return replace(
        RULES,
        common={**_COMMON, **short},
        of_data=of_data,
        item_shares=RULES.item_shares[:1],
        shares=RULES.shares[:1],
        convergence={},
        converged_shares=RULES.converged_shares[:1],
        own_shares=RULES.own_shares[:1],
        of_long_windows=dict.fromkeys(RULES.of_long_windows, ()),
        seeds=(0, 1),
    )
