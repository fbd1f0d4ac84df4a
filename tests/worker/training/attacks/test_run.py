"""Item replacement against a slow re-telling of the rules, and what an attack must never do."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from worker.training.attacks.cells import PER_USER, cells_of
from worker.training.attacks.history_effects import HistoryEffects
from worker.training.attacks.neighbours import Neighbours
from worker.training.attacks.replacement import DrawKey, Replacements, attacked_places
from worker.training.attacks.run import run_attacks, take_out
from worker.training.data.histories import Histories
from worker.training.data.sequences import Sequences
from worker.training.data.split import LeaveOneOut, leave_one_out
from worker.training.evaluation import evaluate as evaluate_module
from worker.training.evaluation.baselines import Markov, Popularity
from worker.training.evaluation.evaluate import evaluate, model_scorer
from worker.training.evaluation.metrics import hit, list_agreement, ndcg, reciprocal_rank
from worker.training.evaluation.ranking import NonFiniteScoresError, catalogue_shuffle
from worker.training.models.build import build_model
from worker.training.spec import TrainSpec

N_ITEMS = 30


def random_split(seed: int = 0, n_users: int = 40, n_items: int = N_ITEMS) -> LeaveOneOut:
    rng = np.random.default_rng(seed)
    rows = [rng.integers(1, n_items + 1, rng.integers(3, 14)).tolist() for _ in range(n_users)]
    offsets = np.cumsum([0, *map(len, rows)])
    items = np.array([item for row in rows for item in row], dtype=np.int32)
    names = [str(item) for item in range(1, n_items + 1)]
    return leave_one_out(Sequences([str(user) for user in range(n_users)], names, offsets, items))


class TableScorer:
    """Sums a table's rows over the last `reads` items, later ones more; keeps every history it was asked."""

    def __init__(self, reads: int = 6, n_items: int = N_ITEMS, levels: int = 5) -> None:
        values = np.random.default_rng(9).integers(0, levels, (n_items + 1, n_items + 1))
        self.table, self.reads = torch.from_numpy(values.astype(np.float32)), reads
        self.asked: list[Histories] = []

    def __call__(self, histories: Histories) -> torch.Tensor:
        self.asked.append(histories)
        rows = np.split(histories.items, histories.offsets[1:-1])
        return torch.stack([self.of(row) for row in rows])

    def of(self, row: np.ndarray) -> torch.Tensor:
        weights = torch.arange(1.0, self.reads + 1)[-len(row[-self.reads :]) :]
        return (self.table[row[-self.reads :].tolist()] * weights[:, None]).sum(0)


def spec_of(**given: Any) -> TrainSpec:
    return TrainSpec.model_validate({"max_length": 6, "attack_counts": [1, 2, 5], **given})


def ranking(scores: torch.Tensor, target: int, excluded: set[int], n_items: int) -> tuple[int, list[int]]:
    places = catalogue_shuffle(n_items).tolist()
    candidates = [i for i in range(1, n_items + 1) if i == target or i not in excluded]
    order = sorted(candidates, key=lambda item: (-float(scores[item]), places[item]))
    return order.index(target), (order + [0] * 10)[:10]


def slow_attacks(scorer: TableScorer, split: LeaveOneOut, spec: TrainSpec) -> list[dict[str, Any]]:
    """One user, one cell, one repeat at a time."""
    offsets, flat = split.histories("test")
    replacements = Replacements(split.item_counts)
    rows = []
    for cell in cells_of(spec):
        by_user: list[dict[str, float]] = []
        for row, user in enumerate(split.eval_users):
            history = flat[offsets[row] : offsets[row + 1]]
            window = min(len(history), spec.max_length)
            if window <= cell.count:
                continue
            target = int(split.test_target[row])
            repeats = []
            for repeat in range(spec.attack_repeats):
                key, one = DrawKey(spec.attack_seed, repeat), np.array([user])
                places = attacked_places(cell.position, cell.count, one, np.array([window]), key)
                originals = history[len(history) - 1 - places].astype(np.int64)
                new = replacements.draw(
                    cell.replacement,
                    key,
                    users=one,
                    places=places,
                    originals=originals,
                    targets=np.array([target]),
                )
                attacked = history.copy()
                attacked[len(history) - 1 - places[0]] = new[0]
                gone = set(history.tolist()) | set(new[0].tolist()) if spec.exclude_seen else set()
                clean_rank, clean_list = ranking(scorer.of(history), target, gone, split.n_items)
                rank, top = ranking(scorer.of(attacked), target, gone, split.n_items)
                if not split.item_counts[target]:
                    clean_rank = rank = split.n_items
                ranks = np.array([rank])
                found = {"clean_ndcg@10": ndcg(np.array([clean_rank]), 10)}
                for k in (5, 10, 20):
                    found |= {f"hr@{k}": hit(ranks, k), f"ndcg@{k}": ndcg(ranks, k)}
                    found[f"mrr@{k}"] = reciprocal_rank(ranks, k)
                cold = not split.item_counts[target]
                found["rank_shift"] = np.array([np.nan if cold else rank - clean_rank])
                found |= list_agreement(np.array([clean_list]), np.array([top]))
                repeats.append({name: float(values[0]) for name, values in found.items()})
            by_user.append({name: float(np.mean([r[name] for r in repeats])) for name in repeats[0]})
        means = {name: float(np.mean([user[name] for user in by_user])) for name in by_user[0]}
        shifts = [user["rank_shift"] for user in by_user if not np.isnan(user["rank_shift"])]
        del means["rank_shift"]
        means["rank_shift_mean"], means["rank_shift_median"] = np.mean(shifts), np.median(shifts)
        means["kept"] = means["ndcg@10"] / means["clean_ndcg@10"]
        described = {"position": cell.position, "count": cell.count, "replacement": cell.replacement}
        rows.append({**described, "n": len(by_user), **means})
    return rows


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_against_the_slow_retelling(exclude_seen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_module, "_BLOCK_USERS", 7)
    split, spec = random_split(n_users=18), spec_of(exclude_seen=exclude_seen, attack_repeats=2)
    expected = slow_attacks(TableScorer(), split, spec)
    found = run_attacks(TableScorer(), split, spec, max_length=6).rows
    assert len(found) == 3 * 3 * 2
    assert 0 < expected[0]["n"] > expected[-1]["n"]
    for mine, other in zip(found, expected, strict=True):
        assert mine == pytest.approx(other)


def test_attacked_histories_differ_only_where_they_should() -> None:
    split = random_split(1)
    spec = spec_of(attack_positions=["start"], attack_counts=[2], attack_repeats=1)
    scorer = TableScorer()
    offsets, flat = split.histories("test")
    rows = run_attacks(scorer, split, spec, max_length=6).rows
    by_original = {tuple(flat[a:b]): row for row, (a, b) in enumerate(pairwise(offsets))}
    attacked = [row for block in scorer.asked[1:] for row in np.split(block.items, block.offsets[1:-1])]
    assert len(attacked) == sum(row["n"] for row in rows)  # type: ignore[misc]
    for history in attacked:
        begin = len(history) - min(len(history), 6)
        matches = [
            row
            for original, row in by_original.items()
            if len(original) == len(history)
            and np.array_equal(
                np.delete(original, [begin, begin + 1]), np.delete(history, [begin, begin + 1])
            )
            and original[begin] != history[begin]
            and original[begin + 1] != history[begin + 1]
            and split.test_target[row] not in history[begin : begin + 2]
        ]
        assert matches


def test_a_scorer_that_does_not_read_the_places_is_unmoved_and_not_asked() -> None:
    split, spec = random_split(2), spec_of()
    ignorant = TableScorer(reads=1)
    for row in run_attacks(ignorant, split, spec, max_length=6).rows:
        moved = row["position"] != "start"
        assert (row["overlap"] == 1.0) != moved
    assert all(row["kept"] == 1.0 for row in run_attacks(Popularity(split), split, spec, max_length=6).rows)
    told = TableScorer(reads=1)
    told.of = lambda row: ignorant.of(row[-1:])  # type: ignore[method-assign]
    told.reads = 6
    assert (
        run_attacks(told, split, spec, max_length=6).rows
        == run_attacks(TableScorer(reads=1), split, spec, max_length=6).rows
    )


def test_every_model_meets_the_same_attack() -> None:
    split, spec = random_split(3), spec_of(attack_repeats=2)
    first, second = TableScorer(), TableScorer(levels=2)
    run_attacks(first, split, spec, max_length=6)
    run_attacks(second, split, spec, max_length=6)
    assert len(first.asked) == len(second.asked) > 30
    for one, other in zip(first.asked, second.asked, strict=True):
        assert np.array_equal(one.items, other.items)


def test_the_same_twice_and_another_seed_differs() -> None:
    split = random_split(4)
    once = run_attacks(Markov(split), split, spec_of(), max_length=6)
    again = run_attacks(Markov(split), split, spec_of(), max_length=6)
    other = run_attacks(Markov(split), split, spec_of(attack_seed=1), max_length=6)
    assert once.rows == again.rows
    assert once.rows != other.rows
    alone = run_attacks(
        Markov(split), split, spec_of(attack_positions=["random"], attack_counts=[2]), max_length=6
    )
    same = [row for row in once.rows if row["position"] == "random" and row["count"] == 2]
    assert alone.rows == same


def test_per_user_figures_average_to_the_rows() -> None:
    split = random_split(5)
    found = run_attacks(TableScorer(), split, spec_of(), max_length=6)
    for row in found.rows:
        label = f"{row['position']}.{row['count']}.{row['replacement']}"
        for name in PER_USER[:-1]:
            values = found.per_user[f"{label}.{name}"]
            assert values.shape == split.eval_users.shape
            assert np.isfinite(values).sum() == row["n"]
            assert float(np.nanmean(values)) == pytest.approx(row[name], rel=1e-5)
        shifts = found.per_user[f"{label}.rank_shift"]
        assert float(np.nanmean(shifts)) == pytest.approx(row["rank_shift_mean"], rel=1e-5)


def test_nobody_with_a_history_long_enough_gives_no_figures() -> None:
    split = random_split(6)
    rows = run_attacks(TableScorer(), split, spec_of(attack_counts=[6]), max_length=6).rows
    assert {row["n"] for row in rows} == {0}
    assert {row["ndcg@10"] for row in rows} | {row["kept"] for row in rows} == {None}


def test_a_clean_score_of_zero_has_no_kept_share() -> None:
    split = random_split(7)
    split.item_counts[:] = 0  # every target is cold, so that nobody is ever hit
    row = run_attacks(TableScorer(), split, spec_of(attack_counts=[1]), max_length=6).rows[0]
    assert row["clean_ndcg@10"] == 0.0
    assert row["kept"] is None


def test_two_items_leave_nothing_to_put_in() -> None:
    split = random_split(8, n_items=2)
    rows = run_attacks(TableScorer(n_items=2), split, spec_of(), max_length=6).rows
    assert {row["n"] for row in rows} == {0}


def test_tick_ends_the_run_and_bad_scores_are_an_error() -> None:
    split = random_split(9)

    def stop(fraction: float) -> None:
        raise InterruptedError(str(fraction))

    with pytest.raises(InterruptedError, match=r"0\.05"):
        run_attacks(TableScorer(), split, spec_of(attack_counts=[1]), max_length=6, tick=stop)
    broken = TableScorer()
    broken.table[3, 4] = float("nan")
    with pytest.raises(NonFiniteScoresError):
        run_attacks(broken, split, spec_of(), max_length=6)


def test_a_model_is_attacked_as_it_is_evaluated() -> None:
    split, spec = random_split(10), spec_of(attack_counts=[1], attack_repeats=1, exclude_seen=False)
    model = build_model(TrainSpec(max_length=6, hidden_size=8, epochs=1), N_ITEMS)
    scorer = model_scorer(model, 6)
    clean = evaluate(scorer, split, "test", exclude_seen=False)
    rows = run_attacks(scorer, split, spec, max_length=6).rows
    everybody = [row for row in rows if row["n"] == len(split.eval_users)]
    assert all(row["clean_ndcg@10"] == pytest.approx(clean.metrics["ndcg@10"]) for row in everybody)
    assert any(row["overlap"] < 1 for row in rows)  # type: ignore[operator]


def test_gaps_close_in_order() -> None:
    lists = torch.tensor([[*range(1, 13)], [*range(1, 6), *[0] * 7]])
    removed = torch.tensor([[2, 12], [5, 5]])
    assert take_out(lists, removed).tolist() == [[1, *range(3, 12)], [1, 2, 3, 4, *[0] * 6]]


def test_chosen_positions_and_replacements_are_what_the_model_meets() -> None:
    split = random_split(11)
    spec = spec_of(
        attack_positions=["highest_cascade"], attack_counts=[2], attack_replacements=["nearest"], kappa=2.0
    )
    scorer = TableScorer()
    (row,) = run_attacks(scorer, split, spec, max_length=6).rows
    attacked = [one for block in scorer.asked[1:] for one in np.split(block.items, block.offsets[1:-1])]
    # Nothing is drawn, so there is nothing to repeat.
    assert len(attacked) == row["n"] > 30
    histories = Histories(*split.histories("test"))
    places = HistoryEffects(split, spec, "test").highest(histories, np.minimum(histories.lengths, 6), 2)
    originals = histories.items[histories.offsets[1:, None] - 1 - places].astype(np.int64)
    nearest = Neighbours(split).nearest(histories, originals, split.test_target.astype(np.int64))
    expected = {
        tuple(one)
        for one, long, new in zip(
            np.split(histories.replaced(places, nearest).items, histories.offsets[1:-1]),
            histories.lengths > 2,
            nearest,
            strict=True,
        )
        if long and new.all()
    }
    assert len(expected) > 20
    assert expected <= {tuple(one) for one in attacked}
    # Where no neighbour is new to the user, any item is put in.
    assert all(one.min() > 0 for one in attacked)


def test_the_gradient_attack_is_the_worst_of_all_and_skips_baselines() -> None:
    split = random_split(12, n_users=80)
    spec = spec_of(
        attack_positions=["end"],
        attack_counts=[1],
        attack_replacements=["uniform", "gradient"],
        hidden_size=8,
    )
    model = build_model(spec, N_ITEMS)
    model.initialise(torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.item_embedding.weight.mul_(20)
    uniform, gradient = run_attacks(model_scorer(model, 6), split, spec, max_length=6).rows
    assert uniform["n"] == gradient["n"] == len(split.eval_users)
    assert gradient["rank_shift_mean"] > uniform["rank_shift_mean"] + 1
    assert gradient["ndcg@10"] < uniform["ndcg@10"]
    baseline = run_attacks(Markov(split), split, spec, max_length=6)
    assert baseline.rows[0]["n"] == len(split.eval_users)
    described = {"position", "count", "replacement", "n"}
    assert baseline.rows[1]["n"] == 0
    assert {value for name, value in baseline.rows[1].items() if name not in described} == {None}
    assert np.isnan(baseline.per_user["end.1.gradient.ndcg@10"]).all()
