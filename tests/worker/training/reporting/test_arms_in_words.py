"""What a report says that its arms did is what its settings make them do."""

from __future__ import annotations

from worker.training.reporting.arms_in_words import arms_in_words, weights_in_words
from worker.training.spec import TrainSpec


def said(**settings: object) -> tuple[dict[str, str], str]:
    spec = TrainSpec.model_validate(settings).model_dump(mode="json")
    return dict(arms_in_words(spec)), weights_in_words(spec)


def test_by_default_some_items_are_moved_and_weights_choose_them() -> None:
    arms, weights = said(perturb_share=0.25)
    assert list(arms) == ["standard", "adversarial", "cascade"]
    assert arms["adversarial"] == (
        "with 25 % of a history's items moved, each as likely as the other, "
        "towards the worst of 64 drawn items"
    )
    assert "25 % of a history's items moved on average, each with a chance that goes by" in arms["cascade"]
    assert weights == "In arm cascade an item's chance to be moved goes by its weight."


def test_where_all_are_moved_weights_say_how_far() -> None:
    arms, weights = said(perturb_towards="gradient", perturb_share=None)
    assert arms["adversarial"] == "with perturbations of equal strength everywhere, along the gradient"
    assert arms["cascade"] == (
        "with perturbations re-scaled by each interaction's cascade weight, along the gradient"
    )
    assert weights == "In arm cascade the length of an item's perturbation goes by its weight."


def test_replacement_has_words_of_its_own() -> None:
    arms, weights = said(arms=["cascade_replacement"], replace_by="popularity", replace_share=0.1)
    said_of_it = arms["cascade_replacement"]
    assert "10 % of a history's items replaced on average by items drawn by popularity" in said_of_it
    assert weights == "In arm cascade_replacement an item's chance to be replaced goes by its weight."
    assert said(arms=["standard"])[1] == "No arm of this run uses them."
