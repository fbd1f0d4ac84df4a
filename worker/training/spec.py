"""TrainSpec: every setting of a training run, written once.

The same class is the training part of the HTTP body of ``POST /v1/jobs``, the JSON in the job row and the
argument of ``run_experiment()``. It imports no torch, so the API process may import it.

The settings are flat on the wire (``{"epochs": 30, "gamma": 1.0}``) and come in groups from `settings.py`.
An empty spec is a full spec: every field has a default. Unknown fields are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from worker.training.misfits import misfits
from worker.training.presets import PresetName, expanded
from worker.training.settings import (
    DEFAULT_WARMUP_EPOCHS,
    AdversarySettings,
    DataSettings,
    ModelSettings,
    OptimiserSettings,
    StabilitySettings,
)


class TrainSpec(DataSettings, ModelSettings, OptimiserSettings, AdversarySettings, StabilitySettings):
    """A full training specification: data, model, optimiser, adversary, evaluation."""

    init_from: str | None = Field(default=None, min_length=1, max_length=1000)
    """An earlier model whose weights every arm and seed starts from: a model's id or `name@version`,
    `name@alias`, `name@latest`, or for `steadyrank train` a model folder. Items are matched by id; the
    network must be the same, but for `max_length`."""

    preset: PresetName | None = None
    """A starting point for the model's settings, `paper` or `strong`; settings given beside it go first."""

    @property
    def whole_epsilon_after(self) -> int:
        """Epochs of warm-up and ramp together: from the next one on a model may be chosen, in every arm."""
        return self.warmup_epochs + self.epsilon_ramp_epochs

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, given: Any) -> Any:
        """Fill in the defaults that follow other fields, so that a resolved spec shows what will be run."""
        if not isinstance(given, dict):
            return given
        resolved = expanded(given, cls.model_fields["model"].default)
        if not resolved.get("seeds"):
            resolved["seeds"] = (resolved.get("seed", 0),)
        elif "seed" not in resolved and isinstance(resolved["seeds"], (list, tuple)):
            resolved["seed"] = resolved["seeds"][0]
        epochs = resolved.get("epochs", cls.model_fields["epochs"].default)
        # A JSON number such as 5.0 is taken for 5 by the field; what is no whole number is refused there.
        if isinstance(epochs, int) or (isinstance(epochs, float) and epochs.is_integer()):
            half = max(0, int(epochs) // 2)
            if resolved.get("warmup_epochs") is None:
                resolved["warmup_epochs"] = min(DEFAULT_WARMUP_EPOCHS, half)
            # A preset's own, in a run that is too short for it.
            if "learning_rate_warmup_epochs" in resolved.keys() - given.keys():
                resolved["learning_rate_warmup_epochs"] = min(resolved["learning_rate_warmup_epochs"], half)
        return resolved

    @model_validator(mode="after")
    def _settings_fit_together(self) -> Self:
        faults = [
            InitErrorDetails(
                type=PydanticCustomError("value_error", "{fault}", {"fault": fault}),
                loc=(field,),
                input=getattr(self, field),
            )
            for field, fault in misfits(self)
        ]
        if faults:
            # Raised as this, each fault points at its field; a ValueError would point at the whole spec.
            raise ValidationError.from_exception_data(type(self).__name__, faults)
        return self


def start_misfits(spec: TrainSpec, trained: Mapping[str, Any]) -> list[str]:
    """Name the settings in which a model of the settings `trained` has other weights than one of `spec`.

    `max_length` may differ, and so may all that does not change what a weight means. [] when it fits.
    """
    names = ["model", "hidden_size", "blocks", "block"]
    if spec.model == "sasrec":
        names += ["heads", "feed_forward_multiplier"]
    misfits = []
    for name in names:
        # A model of an earlier version was trained by what is now the default.
        was, wanted = trained.get(name, TrainSpec.model_fields[name].default), getattr(spec, name)
        if was != wanted:
            misfits.append(f"{name} was {was} and is {wanted}")
    return misfits
