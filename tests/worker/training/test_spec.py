"""TrainSpec: an empty spec is a full spec, a resolved one is a fixed point, and faults are named."""

import pytest
from pydantic import ValidationError

from worker.training.spec import TrainSpec


def test_an_empty_spec_is_a_full_spec() -> None:
    spec = TrainSpec()
    assert spec.arms == ("standard", "adversarial", "cascade")
    assert spec.warmup_epochs == 10
    assert spec.seeds == (0,)


@pytest.mark.parametrize("given", [{}, {"epochs": 3}, {"seed": 7}, {"seeds": [4, 5]}, {"warmup_epochs": 0}])
def test_resolving_twice_changes_nothing(given: dict[str, object]) -> None:
    spec = TrainSpec.model_validate(given)
    assert TrainSpec.model_validate_json(spec.model_dump_json()) == spec


def test_a_short_run_gets_a_warmup_that_fits() -> None:
    assert TrainSpec(epochs=3).warmup_epochs == 1
    assert TrainSpec(epochs=1).warmup_epochs == 0
    assert TrainSpec.model_validate_json('{"epochs": 4.0}').warmup_epochs == 2


def test_how_far_and_how_many_are_moved_follows_the_direction() -> None:
    def moved(**given: object) -> tuple[str, float, float | None]:
        spec = TrainSpec.model_validate(given)
        return spec.perturb_towards, spec.epsilon_history, spec.perturb_share

    assert moved() == ("items", 1.0, 0.1)
    assert moved(perturb_towards="gradient") == ("gradient", 0.1, None)
    assert moved(perturb_towards="gradient", epsilon_history=0.3) == ("gradient", 0.3, None)
    assert moved(perturb_share=None) == ("items", 1.0, None)


def test_seed_is_the_first_of_seeds() -> None:
    assert TrainSpec(seed=3).seeds == (3,)
    assert TrainSpec(seeds=(4, 5)).seed == 4
    with pytest.raises(ValidationError, match="must be the first of seeds"):
        TrainSpec(seed=1, seeds=(4, 5))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"epoch": 3}, "Extra inputs"),
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"epochs": 5, "warmup_epochs": 5}, "must be less than epochs"),
        (
            {"epochs": 20, "warmup_epochs": 10, "epsilon_ramp_epochs": 10},
            "together must be less than epochs",
        ),
        ({"hidden_size": 50, "heads": 4}, "must divide"),
        ({"arms": ["standard", "standard"]}, "names a value twice"),
        ({"learning_rate": float("nan")}, "finite"),
        ({"dropout": 1.0}, "less than 1"),
        ({"loss": "gbce", "negative_sampling": "popularity"}, "needs loss sampled_softmax, not gbce"),
        ({"perturb_towards": "gradient", "perturb_share": 0.4}, "needs perturb_towards items, not gradient"),
        ({"search_shares": [0.1, 0.0]}, "greater than 0"),
        ({"search_shares": [0.1], "arms": ["cascade"]}, "arms must begin with standard"),
    ],
)
def test_faults_are_refused(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        TrainSpec.model_validate(given)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"epochs": 5, "warmup_epochs": 5}, "warmup_epochs"),
        ({"epochs": 20, "warmup_epochs": 20, "epsilon_ramp_epochs": 1}, "warmup_epochs"),
        ({"epochs": 20, "epsilon_ramp_epochs": 1000}, "epsilon_ramp_epochs"),
        ({"stability_changes": 1, "stability_epochs": 10}, "stability_epochs"),
        ({"stability_changes": 1, "stability_epochs": 15, "epsilon_ramp_epochs": 5}, "stability_epochs"),
        ({"epochs": 5, "learning_rate_warmup_epochs": 6}, "learning_rate_warmup_epochs"),
        ({"hidden_size": 50, "heads": 4}, "heads"),
        ({"model": "gru4rec", "block": "ligr"}, "block"),
        ({"negative_sampling": "popularity"}, "negative_sampling"),
        ({"perturb_towards": "gradient", "perturb_share": 0.4}, "perturb_share"),
        ({"attack_counts": [1, 1]}, "attack_counts"),
        ({"search_shares": [0.1, 0.1]}, "search_shares"),
        ({"search_shares": [0.1], "arms": ["standard"]}, "search_shares"),
        ({"search_shares": [0.1], "arms": ["cascade", "standard"]}, "search_shares"),
        ({"search_shares": [0.1], "perturb_towards": "gradient"}, "search_shares"),
        ({"search_shares": [0.1], "lambda_history": 0}, "search_shares"),
        ({"search_shares": [0.1], "epsilon_history": 0}, "search_shares"),
        ({"seed": 1, "seeds": [4, 5]}, "seed"),
        ({"attack_counts": list(range(1, 101)), "attack_repeats": 100}, "attack_counts"),
    ],
)
def test_settings_that_do_not_go_together_point_at_one(given: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TrainSpec.model_validate(given)
    assert [fault["loc"] for fault in caught.value.errors()] == [(field,)]


def test_replacement_alone_is_searched_whatever_embeddings_do() -> None:
    replacing = {"arms": ["standard", "cascade_replacement"], "search_shares": [0.1]}
    spec = TrainSpec.model_validate({**replacing, "perturb_towards": "gradient", "epsilon_history": 0})
    assert spec.search_shares == (0.1,)


def test_every_field_has_a_sentence_a_default_and_the_schema_says_so() -> None:
    properties = TrainSpec.model_json_schema()["properties"]
    for name, schema in properties.items():
        assert schema.get("description", "").endswith("."), name
        assert "default" in schema, name


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"epochs": True}, "must be a number, not true or false"),
        ({"hidden_size": "0016"}, "must be a number, not text"),
        ({"epochs": "1_0"}, "must be a number, not text"),
        ({"min_rating": True}, "must be a number, not true or false"),
        ({"seeds": [True]}, "must be a number, not true or false"),
        ({"attack_counts": ["1"]}, "must be a number, not text"),
        ({"exclude_seen": "yes"}, "must be true or false, not text"),
        ({"exclude_seen": 1}, "must be true or false, not a number"),
        ({"model": 4}, "must be text, not a number"),
        ({"arms": [False]}, "must be text, not true or false"),
    ],
)
def test_true_and_text_are_not_taken_for_numbers(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        TrainSpec.model_validate(given)


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert TrainSpec.model_validate({"epochs": 4.0, "dropout": 0, "min_rating": 3}).epochs == 4
