"""Negatives: never seen, uniform, driven by the generator alone, and there for users who know everything."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.training.batching import Batch, BucketedBatches, cut_windows
from worker.training.data import Sequences
from worker.training.sampling import NegativeSampler

N_ITEMS = 7


def sampler_of(rows: list[list[int]], n_items: int = N_ITEMS) -> tuple[NegativeSampler, Batch, list[int]]:
    train = Sequences(
        user_ids=[str(user) for user in range(len(rows))],
        item_ids=[str(item) for item in range(1, n_items + 1)],
        offsets=np.cumsum([0, *map(len, rows)]),
        items=np.array([item for row in rows for item in row], dtype=np.int32),
    )
    windows = cut_windows(train, 20, 2)
    batch = BucketedBatches(windows, 100).load(np.arange(len(windows))[::-1])
    return NegativeSampler(train, windows), batch, windows.user[::-1].tolist()


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(st.lists(st.integers(1, N_ITEMS), min_size=2, max_size=30), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
)
def test_negatives_are_items_the_user_has_not_seen(rows: list[list[int]], seed: int) -> None:
    sampler, batch, users = sampler_of(rows)
    negatives = sampler.draw(batch, torch.Generator().manual_seed(seed))
    assert negatives.dtype == torch.int64
    assert not negatives[~batch.m_BL].any()
    for user, row, real in zip(users, negatives, batch.m_BL, strict=True):
        unseen = set(range(1, N_ITEMS + 1)) - set(rows[user])
        assert set(row[real].tolist()) <= (unseen or set(range(1, N_ITEMS + 1)))
    assert sampler.saturated_users == sum(set(row) == set(range(1, N_ITEMS + 1)) for row in rows)


def test_every_unseen_item_is_as_likely_even_for_users_who_have_seen_almost_all() -> None:
    everything = list(range(1, 8))
    rows = [[2, 3, 5, 2], [1, 2, 3, 4, 5, 6], everything, [7, 1]]
    sampler, batch, users = sampler_of(rows)
    generator = torch.Generator().manual_seed(0)
    counts = np.zeros((len(rows), N_ITEMS + 1))
    for _ in range(3000):
        negatives = sampler.draw(batch, generator)
        for user, row, real in zip(users, negatives.numpy(), batch.m_BL.numpy(), strict=True):
            counts[user] += np.bincount(row[real], minlength=N_ITEMS + 1)
    for user, row in enumerate(rows):
        unseen = sorted(set(everything) - set(row)) or everything
        expected = np.zeros(N_ITEMS + 1)
        expected[unseen] = counts[user].sum() / len(unseen)
        assert (np.abs(counts[user] - expected) <= 5 * np.sqrt(expected)).all()
    assert sampler.saturated_users == 1


def test_the_generator_alone_decides_and_its_state_takes_up_where_it_was() -> None:
    rng = np.random.default_rng(0)
    sampler, batch, _ = sampler_of([rng.integers(1, 501, 20).tolist() for _ in range(30)], n_items=500)
    generator = torch.Generator().manual_seed(5)
    first = sampler.draw(batch, generator)
    state = generator.get_state()
    second = sampler.draw(batch, generator)
    assert not torch.equal(first, second)
    assert torch.equal(first, sampler.draw(batch, torch.Generator().manual_seed(5)))
    resumed = torch.Generator()
    resumed.set_state(state)
    torch.manual_seed(99)
    assert torch.equal(second, sampler.draw(batch, resumed))
