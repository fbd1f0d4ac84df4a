"""The cells of the study (data set × model × preset) and the runs that they are made of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Final, Literal

from benchmarks.study.rules import LEFT_ALONE, SEARCHED_BESIDES, DataName, Model, Preset, Rules, Settings
from worker.training.presets import PRESETS
from worker.training.spec import TrainSpec

Purpose = Literal["trial", "test", "baseline"]
"""`trial` is measured on validation alone; `test` and `baseline` on test, once."""


@dataclass(frozen=True)
class Cell:
    """One data set, model and preset."""

    data: DataName
    model: Model
    preset: Preset = "paper"

    @property
    def name(self) -> str:
        """Stands in file names: `beauty-sasrec-paper`."""
        return f"{self.data}-{self.model}-{self.preset}"

    def is_searched(self, rules: Rules) -> bool:
        """Whether adversaries are searched here; the other cells take over frozen ones."""
        return self.data in rules.searched and self.preset == "paper"

    def source(self, rules: Rules) -> Cell:
        """The cell whose frozen adversaries hold here: its own, or for the other Amazon sets Beauty's."""
        return Cell(self.data if self.data in rules.searched else "beauty", self.model)

    def base(self, rules: Rules) -> Settings:
        """What all runs of the cell share; `strong` keeps the study's protocol and takes its own network.

        With one window a user it learns from what RecTools learns from, a user's last interactions.
        """
        protocol = {"model": self.model, **rules.protocol(self.preset), **rules.of_data[self.data]}
        if self.preset == "paper":
            return {**protocol, **rules.of_model[self.model]}
        # Written out, so that a preset that changes is seen to be another run.
        strong = {**protocol, **PRESETS["strong"][self.model]}
        return strong if self.preset == "strong" else {**strong, "windows_per_user": 1}


CELLS: Final[tuple[Cell, ...]] = (
    *(Cell(data, "sasrec") for data in ("beauty", "ml-100k", "toys", "video")),
    *(Cell(data, "gru4rec") for data in ("beauty", "ml-100k", "toys", "video")),
    *(Cell(data, "sasrec", "strong") for data in ("ml-100k", "beauty", "toys")),
    Cell("ml-100k", "sasrec", "strong-one-window"),
)
"""In the order they are run, which is the order they are cut in should time run out: from the end.

The last one was added when the others were through, and decides nothing.
"""

ON_OWN_DATA: Final = tuple(Cell(data, "sasrec") for data in SEARCHED_BESIDES)
"""Cells that are searched themselves as well, once what the targets need of them is there."""


@dataclass(frozen=True)
class Run:
    """One training and what is measured of it. arm: of a TrainSpec, or a baseline's name.

    changes: what differs from the cell's base settings; base: those settings.
    """

    cell: Cell
    purpose: Purpose
    arm: str
    seed: int
    base: Settings = field(hash=False)
    changes: Settings = field(default_factory=dict, hash=False)

    @property
    def given(self) -> Settings:
        """The settings that decide what is trained; what `spec` adds is the same in every run."""
        return {**self.base, **self.changes}

    @property
    def training(self) -> str:
        """Names what is trained, whatever is measured of it: runs with the same name share the training."""
        text = json.dumps(self.given, sort_keys=True)
        return f"{self.arm}-s{self.seed}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    @property
    def key(self) -> str:
        """Names the run within its cell."""
        return f"{self.purpose}-{self.training}"

    def spec(self) -> TrainSpec:
        """Return the full specification. Raises pydantic's ValidationError when the rules are at fault."""
        attack = {"attack_positions": ["end"], "attack_counts": [1], "attack_replacements": ["uniform"]}
        arms = ["standard"] if self.purpose == "baseline" else [self.arm]
        given = {
            **LEFT_ALONE,
            **self.given,
            **attack,
            "attack_repeats": 3,
            "arms": arms,
            "seeds": [self.seed],
        }
        return TrainSpec.model_validate(given)
