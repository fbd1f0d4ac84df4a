"""Counted draws are uniform, and depend on nothing but what they are for."""

import numpy as np
import pytest
import torch

from worker.training.draws import CountedDraws, uniform
from worker.training.models.dropout import dropout


def draws(
    epoch: int = 1, windows: tuple[int, ...] = (0, 1, 2), seed: int = 3, name: str = "x"
) -> CountedDraws:
    counted = CountedDraws(seed, name)
    counted.at(epoch, np.array(windows))
    return counted


def test_a_row_draws_the_same_in_any_batch_beside_any_padding() -> None:
    alone, among = draws(windows=(7,)), draws(windows=(4, 7, 9))
    for shape in ((3,), (3, 8), (2, 3, 3), ()):
        wide = tuple(size + 5 if at == len(shape) - 1 else size for at, size in enumerate(shape))
        one, three = alone.words((1, *shape)), among.words((3, *wide))
        assert np.array_equal(one[0], three[1][tuple(slice(size) for size in shape)])


def test_attention_weights_keep_their_draws_when_both_axes_grow() -> None:
    narrow, wide = draws().words((3, 2, 5, 5)), draws().words((3, 2, 6, 6))
    assert np.array_equal(narrow, wide[:, :, :5, :5])
    assert np.array_equal(draws().lanes((3, 2, 5, 5)), draws().lanes((3, 2, 7, 7))[:, :, :5, :5])


@pytest.mark.parametrize("other", [{"epoch": 2}, {"seed": 4}, {"name": "y"}, {"windows": (3, 4, 5)}])
def test_everything_that_counts_changes_the_draws(other: dict[str, object]) -> None:
    assert not (draws().words((3, 4)) == draws(**other).words((3, 4))).any()  # type: ignore[arg-type]


def test_every_draw_of_a_step_is_another_and_the_next_step_begins_anew() -> None:
    counted = draws()
    first, second = counted.words((3, 4)), counted.words((3, 4))
    assert not (first == second).any()
    counted.at(1, np.arange(3))
    assert np.array_equal(counted.words((3, 4)), first)


def test_bits_and_fractions_are_uniform() -> None:
    counted = draws(windows=tuple(range(400)))
    u = uniform((400, 50), counted).numpy()
    assert 0 <= u.min() < 1e-3
    assert 1 - 1e-3 < u.max() < 1
    bins = np.bincount((u.ravel() * 20).astype(int), minlength=20)
    assert np.abs(bins / 1000 - 1).max() < 0.13  # four standard deviations
    for axis in (0, 1):
        assert (
            abs(np.corrcoef(u.take(range(49), axis).ravel(), u.take(range(1, 50), axis).ravel())[0, 1]) < 0.08
        )
    bits = np.unpackbits(counted.words((400, 50)).view(np.uint8)).reshape(-1, 64).mean(0)
    assert np.abs(bits - 0.5).max() < 0.015


def test_dropout_keeps_its_share_and_its_scale() -> None:
    y = dropout(torch.ones(200, 13, 10), 0.3, draws(windows=tuple(range(200))))
    assert set(y.flatten().tolist()) == {0.0, float(torch.tensor(65536 / (65536 - 19661)))}
    assert abs(float((y == 0).float().mean()) - 0.3) < 0.012


def test_rows_that_no_step_was_begun_with_are_refused() -> None:
    with pytest.raises(ValueError, match="4 rows are drawn for, and the step has 3"):
        draws().words((4, 2))


def test_there_is_no_state_to_keep() -> None:
    counted = draws()
    counted.set_state(counted.get_state())
    with pytest.raises(ValueError, match="no state"):
        counted.set_state(torch.Generator().get_state())
