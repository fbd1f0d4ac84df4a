"""Windows and buckets: every target once an epoch, equal shares, and the same gradient as without buckets."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.training.data.batching import BucketedBatches, Windows, cut_windows
from worker.training.data.sequences import Sequences

lengths_of_users = st.lists(st.integers(0, 30), min_size=1, max_size=40)


def train_of(lengths: list[int]) -> Sequences:
    """Every interaction has an item of its own, so that windows can be told by their items."""
    return Sequences(
        user_ids=[str(user) for user in range(len(lengths))],
        item_ids=[str(item) for item in range(1, sum(lengths) + 1)],
        offsets=np.cumsum([0, *lengths]),
        items=np.arange(1, sum(lengths) + 1, dtype=np.int32),
    )


def long_tail(n_users: int = 2000, longest: int = 50) -> Windows:
    lengths = np.random.default_rng(0).geometric(0.12, n_users) + 1
    return cut_windows(train_of(lengths.tolist()), longest)


@settings(deadline=None, max_examples=50)
@given(lengths=lengths_of_users, max_length=st.integers(1, 12), count=st.integers(1, 4))
def test_windows_are_the_last_ones_without_shared_targets(
    lengths: list[int], max_length: int, count: int
) -> None:
    train = train_of(lengths)
    windows = cut_windows(train, max_length, count)
    expected = []
    for user in range(train.n_users):
        row = train.of(user).tolist()
        for _ in range(count):
            if len(row) >= 2:
                expected.append((user, row[-max_length - 1 :]))
                row = row[:-max_length]
    got = [
        (user, windows.items[start : start + length + 1].tolist())
        for user, start, length in zip(windows.user.tolist(), windows.starts, windows.lengths, strict=True)
    ]
    assert got == expected
    assert windows.flat_inputs().tolist() == [item for _, row in expected for item in row[:-1]]
    targets = windows.flat_targets().tolist()
    assert targets == [item for _, row in expected for item in row[1:]]
    assert len(set(targets)) == len(targets) == windows.n_targets
    held = {item for _, row in expected for item in row}
    assert windows.cut_interactions == sum(n for n in lengths if n > 1) - len(held)


@settings(deadline=None, max_examples=50)
@given(lengths=lengths_of_users, batch_size=st.integers(1, 12), seed=st.integers(0, 9))
def test_every_window_is_in_one_batch_of_every_epoch(lengths: list[int], batch_size: int, seed: int) -> None:
    windows = cut_windows(train_of(lengths), 10)
    if not len(windows):
        with pytest.raises(ValueError, match="no window"):
            BucketedBatches(windows, batch_size)
        return
    batches = BucketedBatches(windows, batch_size)
    for epoch in range(3):
        order = batches.epoch(seed, epoch)
        assert len(order) == batches.n_batches == -(-len(windows) // batch_size)
        assert all(len(indices) for indices in order)
        assert sorted(np.concatenate(order).tolist()) == list(range(len(windows)))


def test_batches_hold_about_equal_numbers_of_targets_and_little_padding() -> None:
    windows = long_tail()
    batches = BucketedBatches(windows, 64)
    loaded = [batches.load(indices) for indices in batches.epoch(0, 1)]
    targets = np.array([int(batch.m_BL.sum()) for batch in loaded])
    assert targets.sum() == windows.n_targets
    assert np.abs(targets - targets.mean()).max() <= 50
    assert sum(batch.m_BL.numel() for batch in loaded) < 1.25 * windows.n_targets


def test_composition_is_a_function_of_seed_and_epoch() -> None:
    windows = long_tail(300)
    first, again = BucketedBatches(windows, 16), BucketedBatches(windows, 16)
    as_lists = [[indices.tolist() for indices in batches.epoch(3, 7)] for batches in (first, again)]
    assert as_lists[0] == as_lists[1]
    as_sets = [
        {frozenset(indices.tolist()) for indices in first.epoch(seed, epoch)}
        for seed, epoch in ((3, 7), (3, 8), (4, 7))
    ]
    # The few longest windows may well meet again.
    assert len(as_sets[0] & as_sets[1]) <= 2
    assert len(as_sets[0] & as_sets[2]) <= 2


def test_a_batch_by_hand() -> None:
    windows = cut_windows(train_of([3, 1, 5, 2]), 3)
    weights = np.arange(1, 7, dtype=np.float64) / 10
    batch = BucketedBatches(windows, 4, weights).load(np.array([2, 0, 1]))
    assert batch.x_BL.tolist() == [[10, 0, 0], [1, 2, 0], [6, 7, 8]]
    assert batch.y_BL.tolist() == [[11, 0, 0], [2, 3, 0], [7, 8, 9]]
    assert batch.m_BL.tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    assert batch.length_B.tolist() == [1, 2, 3]
    assert batch.window_B.tolist() == [2, 0, 1]
    torch.testing.assert_close(batch.w_BL, torch.tensor([[0.6, 0, 0], [0.1, 0.2, 0], [0.3, 0.4, 0.5]]))
    dtypes = [tensor.dtype for tensor in (batch.x_BL, batch.y_BL, batch.m_BL, batch.w_BL, batch.length_B)]
    assert dtypes == [torch.int64, torch.int64, torch.bool, torch.float32, torch.int64]
    plain = BucketedBatches(windows, 4).load(np.array([2, 0, 1]))
    assert torch.equal(plain.w_BL, plain.m_BL.float())
    with pytest.raises(ValueError, match="5 weights for 6"):
        BucketedBatches(windows, 4, weights[:5])


def test_expected_gradient_with_buckets_equals_that_without() -> None:
    """A model of one number per target: its gradient over an epoch tells how much each target weighs."""
    windows = long_tail(1000)
    batches = BucketedBatches(windows, 32)
    n_epochs = 40
    weight = torch.zeros(int(windows.items.max()) + 1, dtype=torch.float64)
    for epoch in range(n_epochs):
        for indices in batches.epoch(0, epoch):
            batch = batches.load(indices)
            targets = batch.y_BL[batch.m_BL]
            weight.index_add_(0, targets, torch.full((len(targets),), 1 / len(targets), dtype=torch.float64))
    weight /= n_epochs * batches.n_batches
    of_target = weight[torch.from_numpy(windows.flat_targets()).long()] * windows.n_targets
    # Unbucketed, every target weighs 1 / n_targets of the expected gradient, which is 1 here, at any length.
    length = np.repeat(windows.lengths, windows.lengths)
    assert of_target.mean() == pytest.approx(1.0, abs=1e-9)
    assert float(of_target.min()) > 0.9
    assert float(of_target.max()) < 1.1
    for low, high in ((1, 5), (6, 15), (16, 50)):
        inside = torch.from_numpy((length >= low) & (length <= high))
        assert float(of_target[inside].mean()) == pytest.approx(1.0, abs=0.02)
