"""Negatives: never seen, uniform, driven by the generator alone, and there for users who know everything."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.worker.training.synthetic import sequences_of
from worker.training.data.batching import Batch, BucketedBatches, cut_windows
from worker.training.data.sampling import CandidateReplacer, HistoryReplacer, NegativeSampler, item_weights
from worker.training.data.sequences import Sequences
from worker.training.settings import Replacement

N_ITEMS = 7


def sampler_of(
    rows: list[list[int]], n_items: int = N_ITEMS, *, kind: Replacement = "uniform", shared: int = 0
) -> tuple[NegativeSampler, Batch, list[int]]:
    train = Sequences(
        user_ids=[str(user) for user in range(len(rows))],
        item_ids=[str(item) for item in range(1, n_items + 1)],
        offsets=np.cumsum([0, *map(len, rows)]),
        items=np.array([item for row in rows for item in row], dtype=np.int32),
    )
    windows = cut_windows(train, 20, 2)
    batch = BucketedBatches(windows, 100).load(np.arange(len(windows))[::-1])
    sampler = NegativeSampler(train, windows, weights=item_weights(train.items, n_items, kind), shared=shared)
    return sampler, batch, windows.user[::-1].tolist()


def by_row(negatives: Tensor, batch: Batch) -> list[set[int]]:
    """The negatives of each window, whether drawn by position or shared."""
    if negatives.ndim == 2:
        return [set(row.tolist()) for row in negatives]
    return [set(part.tolist()) for part in negatives.split(batch.length_B.tolist())]


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(st.lists(st.integers(1, N_ITEMS), min_size=2, max_size=30), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
    kind=st.sampled_from(["uniform", "popularity"]),
    shared=st.sampled_from([0, 5]),
)
def test_negatives_are_items_the_user_has_not_seen(
    rows: list[list[int]], seed: int, kind: Replacement, shared: int
) -> None:
    sampler, batch, users = sampler_of(rows, kind=kind, shared=shared)
    negatives = sampler.draw(batch, torch.Generator().manual_seed(seed))
    assert negatives.dtype == torch.int64
    assert negatives.shape == ((len(users), shared) if shared else (int(batch.m_BL.sum()),))
    items = {item for row in rows for item in row} if kind == "popularity" else set(range(1, N_ITEMS + 1))
    for user, drawn in zip(users, by_row(negatives, batch), strict=True):
        assert drawn <= (items - set(rows[user]) or items)
    assert sampler.saturated_users == sum(set(row) >= items for row in rows)


def test_every_unseen_item_is_as_likely_even_for_users_who_have_seen_almost_all() -> None:
    everything = list(range(1, 8))
    rows = [[2, 3, 5, 2], [1, 2, 3, 4, 5, 6], everything, [7, 1]]
    sampler, batch, users = sampler_of(rows)
    generator = torch.Generator().manual_seed(0)
    counts = np.zeros((len(rows), N_ITEMS + 1))
    for _ in range(3000):
        negatives = sampler.draw(batch, generator)
        for user, row in zip(users, negatives.split(batch.length_B.tolist()), strict=True):
            counts[user] += np.bincount(row.numpy(), minlength=N_ITEMS + 1)
    for user, row in enumerate(rows):
        unseen = sorted(set(everything) - set(row)) or everything
        expected = np.zeros(N_ITEMS + 1)
        expected[unseen] = counts[user].sum() / len(unseen)
        assert (np.abs(counts[user] - expected) <= 5 * np.sqrt(expected)).all()
    assert sampler.saturated_users == 1


def test_popular_unseen_items_are_drawn_as_often_as_they_are_popular() -> None:
    rows = [[1, 2, 1], [2, 3, 4, 4, 4], [5, 5, 2, 2], [3, 6]]
    weights = np.bincount([item for row in rows for item in row], minlength=N_ITEMS + 1)
    sampler, batch, users = sampler_of(rows, kind="popularity", shared=4000)
    negatives = sampler.draw(batch, torch.Generator().manual_seed(0))
    for user, row in zip(users, negatives.numpy(), strict=True):
        expected = weights.astype(float)
        expected[rows[user]] = 0
        expected *= 4000 / expected.sum()
        counts = np.bincount(row, minlength=N_ITEMS + 1)
        assert (np.abs(counts - expected) <= 5 * np.sqrt(expected)).all()


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


def weighted_batch(n_windows: int, weights: list[float]) -> Batch:
    row = list(range(1, len(weights) + 1))
    batch = BucketedBatches(
        cut_windows(sequences_of([[*row, 1], [2, 3]] * n_windows, N_ITEMS), 20),
        100,
        np.array([*weights, 1.0] * n_windows, dtype=np.float32),
    ).load(np.arange(2 * n_windows))
    assert batch.m_BL[1].sum() == 1  # the second of each pair of windows is mostly padding
    return batch


def test_items_are_replaced_in_proportion_to_their_weight_and_padding_never() -> None:
    batch = weighted_batch(4000, [0.2, 0.6, 1.0, 1.4])
    replacer = HistoryReplacer(item_weights(np.zeros(0, np.int64), N_ITEMS, "uniform"), 0.25)
    replaced_BL = replacer.draw(batch, torch.Generator().manual_seed(0))
    changed_BL = replaced_BL != batch.x_BL
    assert not changed_BL[~batch.m_BL].any()
    share_L = changed_BL[0::2].double().mean(0)
    torch.testing.assert_close(
        share_L[:4], 0.25 * torch.tensor([0.2, 0.6, 1.0, 1.4]).double() / 0.8, atol=0.03, rtol=0
    )
    assert changed_BL[1::2, 0].double().mean().item() == pytest.approx(0.25, abs=0.03)


def test_a_probability_stops_at_one() -> None:
    batch = weighted_batch(50, [0.01, 0.01, 0.01, 3.0])
    replacer = HistoryReplacer(item_weights(np.zeros(0, np.int64), N_ITEMS, "uniform"), 0.5)
    changed_BL = replacer.draw(batch, torch.Generator().manual_seed(0)) != batch.x_BL
    assert changed_BL[0::2, 3].all()
    assert changed_BL[0::2, :3].double().mean() < 0.1


@pytest.mark.parametrize("kind", ["uniform", "popularity"])
def test_replacements_are_other_items_alike_or_by_popularity(kind: Replacement) -> None:
    items = np.array([1, 1, 1, 2, 3, 3, 5, 5, 5, 5])
    weights = item_weights(items, N_ITEMS, kind)
    batch = weighted_batch(4000, [1.0, 1.0, 1.0, 1.0])
    replaced_BL = HistoryReplacer(weights, 1.0).draw(batch, torch.Generator().manual_seed(0))
    for column in range(4):
        expected = weights.astype(float)
        expected[column + 1] = 0
        expected *= 4000 / expected.sum()
        counts = np.bincount(replaced_BL[0::2, column].numpy(), minlength=N_ITEMS + 1)
        assert (np.abs(counts - expected) <= 5 * np.sqrt(expected)).all()


def test_with_no_other_item_the_history_stays() -> None:
    batch = weighted_batch(3, [1.0, 1.0])
    weights = np.array([0, 9] + [0] * (N_ITEMS - 1))
    replaced_BL = HistoryReplacer(weights, 1.0).draw(batch, torch.Generator().manual_seed(0))
    assert torch.equal(replaced_BL, batch.m_BL.long())


def test_candidates_are_any_items_alike_and_places_go_by_weight() -> None:
    batch = weighted_batch(4000, [0.2, 0.6, 1.0, 1.4])
    drawn = CandidateReplacer(N_ITEMS, 5, 0.25).draw(batch, torch.Generator().manual_seed(0))
    assert drawn.item_BC.shape == (8000, 5)
    counts = np.bincount(drawn.item_BC.flatten().numpy(), minlength=N_ITEMS + 1)
    expected = 40_000 / N_ITEMS
    assert counts[0] == 0
    assert (np.abs(counts[1:] - expected) <= 5 * np.sqrt(expected)).all()
    assert not drawn.chosen_BL[~batch.m_BL].any()
    share_L = drawn.chosen_BL[0::2, :4].double().mean(0)
    torch.testing.assert_close(
        share_L, 0.25 * torch.tensor([0.2, 0.6, 1.0, 1.4]).double() / 0.8, atol=0.03, rtol=0
    )


def test_without_a_share_every_input_is_chosen_and_candidates_alone_are_drawn() -> None:
    batch, generator = weighted_batch(4, [0.2, 1.4]), torch.Generator().manual_seed(0)
    drawn = CandidateReplacer(N_ITEMS, 5, None).draw(batch, generator)
    assert torch.equal(drawn.chosen_BL, batch.m_BL)
    fresh = torch.Generator().manual_seed(0)
    assert torch.equal(drawn.item_BC, torch.randint(1, N_ITEMS + 1, (8, 5), generator=fresh))
    assert torch.equal(generator.get_state(), fresh.get_state())
