"""What a report says that its arms did is what its settings make them do."""

from __future__ import annotations

import pytest

from worker.training.reporting.arms_in_words import arms_in_words, weight_by_effect, weights_in_words
from worker.training.spec import TrainSpec

ALL = ["standard", "adversarial", "cascade", "cascade_replacement"]
NO_WEIGHTS = "No arm of this run uses them."


def spec_of(**settings: object) -> dict[str, object]:
    return TrainSpec.model_validate(settings).model_dump(mode="json")


def said(**settings: object) -> tuple[dict[str, str], str]:
    spec = spec_of(**settings)
    return dict(arms_in_words(spec)), weights_in_words(spec)


def test_by_default_some_items_are_moved_and_weights_choose_them() -> None:
    arms, weights = said(perturb_share=0.25)
    assert list(arms) == ["standard", "adversarial", "cascade"]
    assert arms["standard"] == "without perturbations"
    assert arms["adversarial"] == (
        "with 25 % of a history's items moved, each as likely as the other, "
        "towards the worst of 64 drawn items, and the vectors of each score perturbed"
    )
    assert (
        "with at most 25 % of a history's items moved on average, each with a chance that" in arms["cascade"]
    )
    assert weights == "In arm cascade an item's chance to be moved goes by its weight."


def test_where_all_are_moved_weights_say_how_far() -> None:
    arms, weights = said(perturb_towards="gradient", perturb_share=None, epsilon_match=0, perturb_every=3)
    assert arms["adversarial"] == (
        "with history items perturbed with equal strength everywhere, along the gradient, in one of 3 steps"
    )
    assert arms["cascade"] == (
        "with history items perturbed, re-scaled by each one's cascade weight, along the gradient, "
        "in one of 3 steps"
    )
    assert weights == "In arm cascade the length of an item's perturbation goes by its weight."


def test_replacement_has_words_of_its_own() -> None:
    arms, weights = said(arms=["cascade_replacement"], replace_by="popularity", replace_share=0.1)
    said_of_it = arms["cascade_replacement"]
    assert "at most 10 % of a history's items replaced on average by items drawn by popularity" in said_of_it
    assert weights == "In arm cascade_replacement an item's chance to be replaced goes by its weight."
    assert said(arms=["standard"])[1] == NO_WEIGHTS


def test_a_level_that_is_switched_off_is_not_told_of() -> None:
    matching = "with the vectors of each score perturbed"
    arms, weights = said(arms=ALL, lambda_history=0)
    assert arms == {**dict.fromkeys(ALL, matching), "standard": "without perturbations"}
    assert weights == NO_WEIGHTS
    arms, weights = said(arms=ALL, epsilon_history=0, replace_share=0.1, lambda_match=0)
    off = "without perturbations, as both levels are switched off"
    assert (arms["adversarial"], arms["cascade"]) == (off, off)
    assert arms["cascade_replacement"].startswith("with at most 10 %")
    assert "score" not in arms["cascade_replacement"]
    assert weights == "In arm cascade_replacement an item's chance to be replaced goes by its weight."
    assert said(arms=ALL, replace_share=0)[0]["cascade_replacement"] == matching


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "falls with the effect"),
        ({"gamma": -0.5}, "rises with the effect"),
        ({"gamma": 0}, "all items weigh the same"),
        ({"weight_clip": 1}, "all items weigh the same"),
    ],
)
def test_how_a_weight_follows_from_the_effect(settings: dict[str, object], words: str) -> None:
    assert words in weight_by_effect(spec_of(**settings))


def test_a_share_that_was_chosen_goes_before_the_specs() -> None:
    spec = spec_of(arms=ALL, perturb_share=None, replace_share=0)
    chosen = {
        "adversarial": {"perturb_share": 0.3},
        "cascade": {"perturb_share": 0.05},
        "cascade_replacement": {"replace_share": 0.4},
    }
    arms = dict(arms_in_words(spec, chosen))
    assert "30 % of a history's items moved" in arms["adversarial"]
    assert "at most 5 % of a history's items moved" in arms["cascade"]
    assert "at most 40 % of a history's items replaced" in arms["cascade_replacement"]
    weights = weights_in_words(spec, chosen)
    assert "In arm cascade an item's chance to be moved" in weights
    assert "In arm cascade_replacement an item's chance to be replaced" in weights
