"""Which arms are the same training bit for bit, and which settings make a difference."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch

from tests.worker.training.fitting.runs import (
    MODELS,
    Ear,
    assert_same_weights,
    spec_of,
    trainer,
)
from worker.training.fitting.checkpoint import unpack, without_prefix
from worker.training.progress import (
    Control,
    MemoryCheckpoints,
    Stopped,
)
from worker.training.seeding import generator_for
from worker.training.settings import ModelName


def test_replacing_nothing_is_standard_training_bit_for_bit() -> None:
    shared = trainer(spec_of(replace_share=0.0, epsilon_match=0.0))
    assert_same_weights(shared.train("cascade_replacement", 0), shared.train("standard", 0))


def test_what_replaces_and_how_much_makes_a_difference() -> None:
    specs = [{}, {"replace_by": "popularity"}, {"replace_share": 0.3}, {"gamma": 0.0}, {"epsilon_match": 0.0}]
    outcomes = [trainer(spec_of(**spec)).train("cascade_replacement", 0) for spec in specs]
    tables = [outcome.weights["item_embedding.weight"] for outcome in outcomes]
    assert not any(torch.equal(tables[0], other) for other in tables[1:])


@pytest.mark.parametrize(
    "moved", [{}, {"perturb_towards": "items"}, {"perturb_towards": "items", "perturb_share": None}]
)
def test_without_exponent_the_cascade_arm_is_the_generic_one_bit_for_bit(moved: dict[str, Any]) -> None:
    shared = trainer(spec_of(gamma=0.0, **moved))
    assert_same_weights(shared.train("cascade", 0), shared.train("adversarial", 0))


@pytest.mark.parametrize(
    "off",
    [
        {"epsilon_match": 0, "epsilon_history": 0, "perturb_towards": "items"},
        {"lambda_match": 0, "lambda_history": 0},
    ],
)
@pytest.mark.parametrize("model", MODELS)
def test_an_arm_with_both_levels_off_is_standard_training_bit_for_bit(
    model: ModelName, off: dict[str, Any]
) -> None:
    shared = trainer(spec_of(model=model, **off))
    assert_same_weights(shared.train("cascade", 0), shared.train("standard", 0))


def test_steps_towards_items_draw_candidates_once_the_warmup_is_over_and_nothing_else() -> None:
    def generators(**settings: Any) -> dict[str, torch.Tensor]:
        store, ear = MemoryCheckpoints(), Ear()
        ear.answers[13] = Control.SAVE_AND_STOP
        with pytest.raises(Stopped):
            trainer(spec_of(**settings), ear=ear, checkpoints=store).train("cascade", 0)
        tensors, _ = unpack(store.load("progress", 0, "cascade")[0][1])
        return without_prefix("generator", tensors)

    plain, items = generators(), generators(perturb_towards="items")
    assert torch.equal(plain["replacements"], generator_for(0, "replacements").get_state())
    assert [name for name in plain if not torch.equal(plain[name], items[name])] == ["replacements"]


def test_what_the_history_is_moved_towards_makes_a_difference() -> None:
    items = {"perturb_towards": "items", "perturb_share": None}
    specs = [{}, items, {**items, "replace_candidates": 2}, {**items, "perturb_share": 0.4}]
    tables = [
        trainer(spec_of(**spec)).train("adversarial", 0).weights["item_embedding.weight"] for spec in specs
    ]
    assert not any(torch.equal(one, other) for one, other in combinations(tables, 2))


def test_an_adversary_whose_turn_never_comes_leaves_standard_training_bit_for_bit() -> None:
    ear = Ear()
    shared = trainer(spec_of(perturb_every=1000), ear=ear)
    for arm in ("cascade", "cascade_replacement"):
        assert_same_weights(shared.train(arm, 0), shared.train("standard", 0))
    assert all(each.loss_match is None and each.loss_history is None for each in ear.epochs)


def test_the_seed_decides_everything() -> None:
    spec = spec_of(seeds=[0, 1])
    first, again = trainer(spec).train("cascade", 0), trainer(spec).train("cascade", 0)
    assert_same_weights(first, again)
    other = trainer(spec).train("cascade", 1)
    assert not torch.equal(first.weights["final_norm.bias"], other.weights["final_norm.bias"])
