"""Full ranking against brute force, and what must not rank well."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.training.data.histories import Histories
from worker.training.data.sequences import Sequences
from worker.training.data.split import LeaveOneOut, leave_one_out
from worker.training.evaluation import evaluate as module
from worker.training.evaluation.evaluate import evaluate, model_scorer
from worker.training.evaluation.ranking import NonFiniteScoresError, Ranking, catalogue_shuffle, largest
from worker.training.evaluation.scorers import last_windows
from worker.training.models.build import build_model
from worker.training.settings import ModelName
from worker.training.spec import TrainSpec


def split_of(rows: list[list[int]], n_items: int) -> LeaveOneOut:
    offsets = np.cumsum([0, *map(len, rows)])
    items = np.array([item for row in rows for item in row], dtype=np.int32)
    names = [str(item) for item in range(1, n_items + 1)]
    return leave_one_out(Sequences([str(user) for user in range(len(rows))], names, offsets, items))


def random_split(seed: int, n_users: int = 25, n_items: int = 15) -> LeaveOneOut:
    rng = np.random.default_rng(seed)
    return split_of(
        [rng.integers(1, n_items + 1, rng.integers(3, 12)).tolist() for _ in range(n_users)], n_items
    )


class TableScorer:
    """Sums a table's rows over the last `reads` items; few distinct values, so that scores tie."""

    def __init__(self, n_items: int, seed: int = 0, levels: int = 4, reads: int = 3) -> None:
        values = np.random.default_rng(seed).integers(0, levels, (n_items + 1, n_items + 1))
        self.table, self.reads = torch.from_numpy(values.astype(np.float32)), reads

    def __call__(self, histories: Histories) -> torch.Tensor:
        rows = np.split(histories.items, histories.offsets[1:-1])
        return torch.stack([self.table[row[-self.reads :].tolist()].sum(0) for row in rows])


class Filled:
    """The same value everywhere; with `at`, another one at that item."""

    reads = 0

    def __init__(self, n_items: int, value: float, at: dict[int, float] | None = None) -> None:
        self.row = torch.full((n_items + 1,), value)
        for item, other in (at or {}).items():
            self.row[item] = other

    def __call__(self, histories: Histories) -> torch.Tensor:
        return self.row.repeat(len(histories), 1)


def brute_force(scores: np.ndarray, target: int, excluded: set[int]) -> tuple[int, list[int]]:
    """Rank and full list by a plain sort."""
    places = catalogue_shuffle(len(scores) - 1).tolist()
    candidates = [i for i in range(1, len(scores)) if i == target or i not in excluded]
    order = sorted(candidates, key=lambda item: (-scores[item], places[item]))
    return order.index(target), order


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.booleans(), st.integers(1, 6))
def test_ranks_and_lists_equal_a_plain_sort(seed: int, exclude_seen: bool, levels: int) -> None:
    split, scorer = random_split(seed), TableScorer(15, seed, levels)
    found = evaluate(scorer, split, "test", exclude_seen=exclude_seen)
    histories = Histories(*split.histories("test"))
    scores = scorer(histories).numpy()
    assert found.lists is not None
    for row, target in enumerate(split.test_target.tolist()):
        seen = set(histories.take(np.array([row])).items.tolist()) if exclude_seen else set()
        rank, order = brute_force(scores[row], target, seen)
        if split.item_counts[target]:
            assert found.ranks[row] == rank
        else:
            assert found.ranks[row] == 20
        assert found.lists[row].tolist() == (order + [0] * 10)[:10]


def test_by_hand() -> None:
    split = split_of([[1, 2, 3, 4], [5, 6, 1, 2]], n_items=6)  # targets 4 (never trained on) and 2
    scorer = Filled(6, 0.0, {1: 9.0, 5: 5.0, 4: 4.0, 2: 2.0, 3: 1.0, 6: 8.0})
    kept = evaluate(scorer, split, "test", exclude_seen=False)
    assert kept.ranks.tolist() == [20, 4]  # a miss at every k, even where k reaches the whole catalogue
    assert kept.cold_targets == 1
    assert kept.metrics["hr@20"] == 0.5
    assert kept.metrics["hr@5"] == 0.5
    assert kept.metrics["coverage@10"] == 1.0
    assert evaluate(scorer, split, "test", exclude_seen=True).ranks.tolist() == [20, 1]


def test_an_earlier_item_stays_a_candidate_where_it_is_the_target() -> None:
    split = split_of([[1, 2, 3, 1]], n_items=4)
    found = evaluate(Filled(4, 0.0, {1: 1.0}), split, "test", exclude_seen=True)
    assert found.ranks.tolist() == [0]
    assert found.lists is not None
    assert sorted(found.lists[0].tolist()) == [0, 0, 1, 4]


def test_constant_scores_rank_as_chance_does() -> None:
    split = random_split(1, n_users=400, n_items=100)
    found = evaluate(Filled(100, 3.0), split, "test", exclude_seen=False)
    assert 40 < found.ranks.mean() < 60
    assert found.metrics["hr@10"] < 0.2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("everywhere", [True, False])
def test_a_score_that_is_no_number_is_an_error(value: float, everywhere: bool) -> None:
    scorer = Filled(15, value) if everywhere else Filled(15, 0.0, {7: value})
    with pytest.raises(NonFiniteScoresError, match="NaN or infinite"):
        evaluate(scorer, random_split(0), "test", exclude_seen=True)


def test_the_padding_column_is_never_looked_at() -> None:
    split = random_split(0)
    padding_wins = TableScorer(15)
    padding_wins.table[:, 0] = 1e9
    poisoned = TableScorer(15)
    poisoned.table[:, 0] = float("nan")
    usual = evaluate(TableScorer(15), split, "test", exclude_seen=True)
    for scorer in (padding_wins, poisoned):
        found = evaluate(scorer, split, "test", exclude_seen=True)
        assert np.array_equal(found.ranks, usual.ranks)
        assert np.array_equal(found.lists, usual.lists)  # type: ignore[arg-type]


def test_ranks_only_gives_the_same_ranks_and_the_phase_decides_the_history() -> None:
    split, scorer = random_split(3), TableScorer(15)
    ranks_only = evaluate(scorer, split, "test", exclude_seen=True, lists=False)
    assert ranks_only.lists is None
    assert "coverage@10" not in ranks_only.metrics
    assert np.array_equal(ranks_only.ranks, evaluate(scorer, split, "test", exclude_seen=True).ranks)
    assert not np.array_equal(
        ranks_only.ranks, evaluate(scorer, split, "validation", exclude_seen=True).ranks
    )


def test_blocks_change_nothing_and_tick_after_each(monkeypatch: pytest.MonkeyPatch) -> None:
    split, scorer = random_split(4), TableScorer(15)
    whole = evaluate(scorer, split, "test", exclude_seen=True)
    monkeypatch.setattr(module, "_BLOCK_USERS", 4)
    done: list[float] = []
    cut = evaluate(scorer, split, "test", exclude_seen=True, tick=done.append)
    assert np.array_equal(cut.ranks, whole.ranks)
    assert np.array_equal(cut.lists, whole.lists)  # type: ignore[arg-type]
    assert len(done) == 7
    assert done == sorted(done)
    assert done[-1] == 1.0


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 20))
def test_the_two_stage_search_finds_the_largest(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = torch.from_numpy(rng.integers(0, levels * 100, (3, 64 * 41 + 17)).astype(np.float32))
    values, columns = largest(scores, 5)
    assert torch.equal(values, scores.sort(1, descending=True).values[:, :5])
    assert torch.equal(scores.gather(1, columns), values)
    assert all(len(set(row)) == 5 for row in columns.tolist())


def test_a_tie_over_the_end_of_a_long_list_is_broken_by_the_shuffle() -> None:
    n_items = 5000
    places = catalogue_shuffle(n_items)
    nothing = torch.empty(0, dtype=torch.int64)
    scores = torch.zeros(2, n_items + 1)
    scores[1, 77] = 1.0
    ranking = Ranking.among_candidates(scores, places, torch.tensor([5, 77]), nothing, nothing)
    order = places.argsort().tolist()
    lists = ranking.lists().tolist()
    assert lists[0] == order[:10]
    assert lists[1] == [77, *[item for item in order if item != 77][:9]]
    assert ranking.ranks().tolist() == [order.index(5), 0]


@pytest.mark.parametrize("name", ["sasrec", "gru4rec"])
def test_a_model_is_scored_one_history_like_many(name: ModelName, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(TrainSpec(model=name, max_length=4, hidden_size=8, epochs=1), 15).train()
    scorer = model_scorer(model, 4)
    histories = Histories(*random_split(5).histories("test"))
    together = scorer(histories)
    monkeypatch.setattr(module, "_ENCODED_POSITIONS", 12)
    torch.testing.assert_close(scorer(histories), together)
    alone = torch.cat([scorer(histories.take(np.array([row]))) for row in range(len(histories))])
    torch.testing.assert_close(alone, together)
    with torch.no_grad():
        x_BL, length_B = last_windows(histories, 4)
        h_BLD = model.eval().encode(model.embed(x_BL), length_B)
        slow = model.train().score(h_BLD[torch.arange(len(x_BL)), length_B - 1])
    torch.testing.assert_close(together, slow)
    scorer(histories)
    assert model.training
    assert not together.requires_grad
    longest = int(histories.lengths.argmax())
    end = histories.offsets[longest + 1]
    window = Histories(np.array([0, 4]), histories.items[end - 4 : end])
    torch.testing.assert_close(scorer(window)[0], together[longest])


def test_a_model_that_diverged_is_an_error() -> None:
    model = build_model(TrainSpec(max_length=4, hidden_size=8, epochs=1), 15)
    with torch.no_grad():
        model.item_embedding.weight[3, 0] = float("nan")
    with pytest.raises(NonFiniteScoresError):
        evaluate(model_scorer(model, 4), random_split(0), "validation", exclude_seen=True)


def test_an_empty_history_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="without items"):
        last_windows(Histories(np.array([0, 0]), np.array([], dtype=np.int32)), 4)


def test_replacing_counts_from_the_end() -> None:
    histories = Histories(np.array([0, 3, 5]), np.array([1, 2, 3, 4, 5], dtype=np.int32))
    replaced = histories.replaced(np.array([[0, 2], [1, 0]]), np.array([[9, 8], [7, 6]]))
    assert replaced.items.tolist() == [8, 2, 9, 7, 6]
    assert histories.items.tolist() == [1, 2, 3, 4, 5]
    x_BL, length_B = last_windows(histories, 2)
    assert x_BL.tolist() == [[2, 3], [4, 5]]
    assert length_B.tolist() == [2, 2]
