"""Presets: known settings beneath the given ones, valid for every model, and visible when resolved."""

from typing import get_args

import pytest
from pydantic import ValidationError

from worker.training.presets import DESCRIPTIONS, PRESETS, PresetName
from worker.training.settings import ModelName
from worker.training.spec import TrainSpec

EVERY = [(preset, model) for preset in get_args(PresetName) for model in get_args(ModelName)]


@pytest.mark.parametrize(("preset", "model"), EVERY)
def test_a_preset_is_spelt_out_in_the_spec_and_resolves_to_itself(preset: str, model: str) -> None:
    spec = TrainSpec.model_validate({"preset": preset, "model": model})
    assert spec.preset == preset
    for name, value in PRESETS[spec.preset][model].items():
        assert getattr(spec, name) == value, name
    assert TrainSpec.model_validate_json(spec.model_dump_json()) == spec
    assert preset in DESCRIPTIONS


def test_given_settings_go_before_the_preset() -> None:
    spec = TrainSpec.model_validate({"preset": "strong", "dropout": 0.4, "loss": "bce"})
    assert (spec.dropout, spec.loss, spec.block) == (0.4, "bce", "ligr")


def test_the_paper_preset_of_sasrec_is_what_the_defaults_are() -> None:
    assert TrainSpec(preset="paper").model_dump(exclude={"preset"}) == TrainSpec().model_dump(
        exclude={"preset"}
    )


def test_a_short_run_gets_a_learning_rate_warmup_that_fits() -> None:
    assert TrainSpec(preset="strong", epochs=1).learning_rate_warmup_epochs == 0
    assert TrainSpec(preset="strong", epochs=30).learning_rate_warmup_epochs == 2


@pytest.mark.parametrize("preset", ["best", 3, ["paper"]])
def test_an_unknown_preset_is_refused(preset: object) -> None:
    with pytest.raises(ValidationError) as caught:
        TrainSpec.model_validate({"preset": preset})
    assert caught.value.errors()[0]["loc"] == ("preset",)
