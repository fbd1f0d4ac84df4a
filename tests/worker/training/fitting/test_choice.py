"""Which epoch's weights become the model, and when patience ends an arm."""

from __future__ import annotations

import pytest

from tests.worker.training.fitting.runs import (
    Ear,
    assert_same_weights,
    scripted,
    spec_of,
    trainer,
)
from worker.training.settings import Arm


def test_the_best_epoch_is_chosen_and_patience_ends_the_arm() -> None:
    # Epochs 3, 4, 5, … after a warm-up of 2; patience is not counted up to epoch 4.
    spec = spec_of(epochs=20, min_epochs=4, patience=2)
    ear = Ear()
    outcome = trainer(spec, ear=ear, validate=scripted([0.5, 0.1, 0.6, 0.6, 0.5, 0.9])).train("standard", 0)
    assert (outcome.best_epoch, outcome.epochs, outcome.stop_reason) == (5, 7, "patience")
    assert outcome.validation == {"ndcg@10": 0.6, "hr@10": 0.5}
    assert "early_stopped" in ear.events
    shorter = trainer(spec_of(epochs=5), validate=scripted([0.5, 0.1, 0.6])).train("standard", 0)
    assert shorter.stop_reason == "epochs"
    assert outcome.weights.keys() == shorter.weights.keys()


def test_the_chosen_weights_are_those_of_the_best_epoch() -> None:
    best_first = trainer(spec_of(epochs=6), validate=scripted([0.1, 0.9, 0.2, 0.3])).train("cascade", 0)
    assert best_first.best_epoch == 4
    assert_same_weights(best_first, trainer(spec_of(epochs=4)).train("cascade", 0))


def test_patience_waits_for_min_epochs() -> None:
    spec = spec_of(epochs=12, min_epochs=9, patience=2)
    outcome = trainer(spec, validate=scripted([0.9] + [0.1] * 20)).train("standard", 0)
    assert (outcome.best_epoch, outcome.epochs) == (3, 11)


def test_validation_keeps_its_interval_but_never_misses_the_last_epoch() -> None:
    ear = Ear()
    trainer(spec_of(epochs=9, validate_every=4), ear=ear).train("standard", 0)
    assert [metrics.epoch for metrics in ear.epochs if metrics.validation] == [4, 8, 9]


@pytest.mark.parametrize("arm", ["standard", "cascade"])
def test_no_epoch_of_the_ramp_is_chosen_in_any_arm(arm: Arm) -> None:
    ear = Ear()
    spec = spec_of(epochs=7, epsilon_ramp_epochs=3, min_epochs=0, patience=1)
    outcome = trainer(spec, ear=ear, validate=scripted([0.9, 0.1])).train(arm, 0)
    assert (outcome.best_epoch, outcome.epochs) == (6, 7)
    assert [metrics.epoch for metrics in ear.epochs if metrics.validation] == [6, 7]
