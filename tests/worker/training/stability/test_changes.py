"""Which interaction is changed, and what the training data are then."""

import numpy as np
import pytest

from tests.worker.training.synthetic import markov_sequences, sequences_of
from worker.training.adversary.cascade import cascade_effects
from worker.training.data.batching import cut_windows
from worker.training.data.split import leave_one_out
from worker.training.spec import TrainSpec
from worker.training.stability.changes import Change, choose_changes

SPLIT = leave_one_out(markov_sequences())
SPEC = TrainSpec.model_validate(
    {"max_length": 5, "windows_per_user": 2, "stability_changes": 6, "kappa": 0.5}
)


def rows_of(split: object = SPLIT, change: Change | None = None) -> list[list[int]]:
    train = split.train if change is None else change.applied(split.train)  # type: ignore[attr-defined]
    return [train.of(user).tolist() for user in range(train.n_users)]


@pytest.mark.parametrize(
    "change", choose_changes(SPLIT, SPEC), ids=lambda c: f"{c.kind}-{c.chosen}-{c.position}"
)
def test_one_user_has_one_interaction_less_or_another(change: Change) -> None:
    before, after = rows_of(), rows_of(change=change)
    (user,) = [user for user, row in enumerate(after) if row != before[user]]
    place = change.position - int(SPLIT.train.offsets[user])
    if change.kind == "removed":
        assert after[user] == before[user][:place] + before[user][place + 1 :]
    else:
        assert after[user] == [*before[user][:place], change.item, *before[user][place + 1 :]]
        evaluated = SPLIT.eval_users == user
        assert change.item not in {
            *before[user],
            *SPLIT.test_target[evaluated],
            *SPLIT.validation_target[evaluated],
        }
    windows, less = (
        cut_windows(train, SPEC.max_length, SPEC.windows_per_user)
        for train in (SPLIT.train, change.applied(SPLIT.train))
    )
    assert np.array_equal(windows.user, less.user)


def test_the_highest_effects_are_taken_and_random_ones_are_spread() -> None:
    changes = choose_changes(SPLIT, SPEC)
    assert [(c.kind, c.chosen) for c in changes] == [
        (kind, chosen)
        for chosen in ("random", "highest_cascade")
        for _ in range(6)
        for kind in ("removed", "replaced")
    ]
    windows = cut_windows(SPLIT.train, SPEC.max_length, SPEC.windows_per_user)
    effects = cascade_effects(windows, SPLIT.n_items, SPEC.kappa)
    highest = [c.effect for c in changes if c.chosen == "highest_cascade" and c.kind == "removed"]
    drawn = [c.effect for c in changes if c.chosen == "random" and c.kind == "removed"]
    assert highest == sorted(highest, reverse=True)
    assert highest[0] >= np.quantile(effects, 0.98)
    assert min(highest) > max(drawn[0], np.median(effects))
    assert len({c.position for c in changes}) >= 11


def test_the_choice_is_a_function_of_data_and_attack_seed() -> None:
    def of(**settings: object) -> list[Change]:
        return choose_changes(SPLIT, TrainSpec.model_validate({**SPEC.model_dump(), **settings}))

    assert of() == of(seed=3, seeds=[3], epochs=50)
    assert of() != of(attack_seed=1)
    assert of(stability_changes=2) == [c for c in of() if c in of(stability_changes=2)]


def test_who_would_lose_a_window_is_passed_over() -> None:
    """User 0 trains on two interactions: without one there is no window. User 1 keeps theirs."""
    split = leave_one_out(sequences_of([[1, 2, 3, 4], [5, 6, 7, 1, 2]], 9))
    changes = choose_changes(split, SPEC)
    assert {int(np.searchsorted(split.train.offsets, c.position, side="right")) - 1 for c in changes} == {1}
    nobody = leave_one_out(sequences_of([[1, 2, 3, 4], [5, 6, 7, 1]], 9))
    assert choose_changes(nobody, SPEC) == []


def test_where_every_item_is_known_any_other_stands_in() -> None:
    split = leave_one_out(sequences_of([[1, 2, 3, 1, 2]]))
    for change in choose_changes(split, SPEC):
        before = split.train.items[change.position]
        assert change.item == 0 or change.item != before
