"""Draws of the attacks: what they never give, what they depend on, and their distribution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.training.attacks.replacement import DrawKey, Replacements, attacked_places
from worker.training.settings import AttackPosition, Replacement

KINDS: tuple[Replacement, ...] = ("uniform", "popularity")


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(0, 5), min_size=3, max_size=8),
    st.sampled_from(KINDS),
    st.integers(0, 2**31 - 1),
    st.data(),
)
def test_never_the_target_and_never_the_same_item(
    counts: list[int], kind: Replacement, seed: int, data: st.DataObject
) -> None:
    items = st.integers(1, len(counts))
    originals = np.array(data.draw(st.lists(st.lists(items, min_size=2, max_size=2), min_size=1, max_size=9)))
    targets = np.array(data.draw(st.lists(items, min_size=len(originals), max_size=len(originals))))
    users, places = np.arange(len(originals)), np.tile([0, 1], (len(originals), 1))
    drawn = Replacements(np.array([0, *counts])).draw(
        kind, DrawKey(seed, 0), users=users, places=places, originals=originals, targets=targets
    )
    assert drawn.min() >= 1
    assert drawn.max() <= len(counts)
    assert not (drawn == originals).any()
    assert not (drawn == targets[:, None]).any()
    if kind == "popularity":
        weights = np.array([0, *counts])
        for original, target, item in zip(originals.ravel(), targets.repeat(2), drawn.ravel(), strict=True):
            others = np.delete(weights, [0, original, target])
            assert weights[item] > 0 or not others.any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("original", "target"), [(2, 4), (4, 2), (3, 3), (1, 5)])
def test_the_distribution(kind: Replacement, original: int, target: int) -> None:
    counts = np.array([0, 1, 2, 3, 4, 10])
    n = 40_000
    drawn = Replacements(counts).draw(
        kind,
        DrawKey(7, 1),
        users=np.arange(n),
        places=np.zeros((n, 1), dtype=np.int64),
        originals=np.full((n, 1), original),
        targets=np.full(n, target),
    )
    weights = counts.astype(float) if kind == "popularity" else np.array([0.0, 1, 1, 1, 1, 1])
    weights[[original, target]] = 0
    found = np.bincount(drawn.ravel(), minlength=6) / n
    # Five standard deviations of a share of n draws.
    np.testing.assert_allclose(found, weights / weights.sum(), atol=5 * 0.5 / np.sqrt(n))


def test_a_draw_depends_on_its_key_alone() -> None:
    replacements = Replacements(np.arange(51))
    users = np.arange(200)

    def draw(seed: int, repeat: int, users: np.ndarray, places: list[int]) -> np.ndarray:
        shape = (len(users), len(places))
        return replacements.draw(
            "uniform",
            DrawKey(seed, repeat),
            users=users,
            places=np.broadcast_to(places, shape),
            originals=np.ones(shape, dtype=np.int64),
            targets=np.full(len(users), 2),
        )

    all_users = draw(0, 0, users, [0, 1, 2])
    assert np.array_equal(draw(0, 0, users[50:60], [0, 1, 2]), all_users[50:60])
    assert np.array_equal(draw(0, 0, users, [2])[:, 0], all_users[:, 2])
    for other in (
        draw(1, 0, users, [0, 1, 2]),
        draw(0, 1, users, [0, 1, 2]),
        draw(0, 0, users + 1, [0, 1, 2]),
    ):
        assert (other == all_users).mean() < 0.1
    assert (all_users[:, 0] == all_users[:, 1]).mean() < 0.1


def test_places_by_hand() -> None:
    users, windows, key = np.array([3, 9]), np.array([4, 6]), DrawKey(0, 0)
    assert attacked_places("end", 2, users, windows, key).tolist() == [[0, 1], [0, 1]]
    assert attacked_places("start", 2, users, windows, key).tolist() == [[3, 2], [5, 4]]


def test_random_places_lie_in_the_window_all_different_and_spread() -> None:
    users = np.arange(3000)
    windows = np.where(users % 2, 4, 10)
    places = attacked_places("random", 3, users, windows, DrawKey(0, 0))
    assert (places < windows[:, None]).all()
    assert all(len(set(row)) == 3 for row in places.tolist())
    share = np.bincount(places[users % 2 == 0].ravel(), minlength=10) / 1500
    np.testing.assert_allclose(share, 0.3, atol=0.07)


@pytest.mark.parametrize("position", ["end", "start", "random"])
def test_an_attack_on_more_items_contains_that_on_fewer(position: AttackPosition) -> None:
    users, windows, key = np.arange(20), np.full(20, 8), DrawKey(5, 2)
    five = attacked_places(position, 5, users, windows, key)
    assert np.array_equal(attacked_places(position, 2, users, windows, key), five[:, :2])
    assert np.array_equal(attacked_places(position, 5, users[4:6], windows[4:6], key), five[4:6])


def test_draws_are_pinned() -> None:
    """A changed draw would make reports of two versions incomparable without a sign of it."""
    users = np.array([0, 1, 12345])
    drawn = Replacements(np.arange(1001)).draw(
        "popularity",
        DrawKey(0, 0),
        users=users,
        places=np.array([[0, 1]] * 3),
        originals=np.ones((3, 2), dtype=np.int64),
        targets=np.full(3, 2),
    )
    assert drawn.tolist() == [[580, 849], [609, 692], [947, 577]]
