"""The report's figures, intervals, hash and words; and results that survive a checkpoint."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from worker.training.data.batching import cut_windows
from worker.training.data.sequences import Sequences
from worker.training.data.split import leave_one_out
from worker.training.evaluation.baselines import Markov, Popularity
from worker.training.evaluation.bootstrap import bootstrap_interval, resampled_means
from worker.training.fitting.checkpoint import pack, unpack
from worker.training.reporting.markdown import render_markdown
from worker.training.reporting.report import build_report, protocol_hash, protocol_of
from worker.training.reporting.results import (
    ATTACKED,
    CLEAN,
    OVERLAP,
    ArmResult,
    Measured,
    content_hash,
    dataset_facts,
    measure,
)
from worker.training.spec import TrainSpec

N = 200
FACTS = {
    "users": 210,
    "items": 50,
    "interactions": 3000,
    "eval_users": N,
    "cut_interactions": 12,
    "tied_last_two_share": 0.44,
    "cold_targets": 3,
    "content_sha256": "c0ffee",
    "split": {
        "name": "leave_one_out",
        "train_interactions": 2580,
        "validation_users": N,
        "test_users": N,
        "leakage_share": 0.31,
    },
}


QUANTILES = [1.0, 1.0, 1.0, 1.0, 1.0]
CASCADE = {
    "kappa": 0.0,
    "gamma": 1.0,
    "weight_clip": 5.0,
    "by_position": [
        {
            "from_end": 1,
            "inputs": 20,
            "effect": QUANTILES,
            "effect_kappa_1": QUANTILES,
            "weight": QUANTILES,
        }
    ],
    "example": {"items": ["a"], "effects": [1.0], "weights": [1.0]},
}
SLICE = {
    "by": "activity",
    "from": 3,
    "to": 9,
    "users": N,
    "ndcg@10": 0.04,
    "attacked_ndcg@10": 0.01,
    "overlap": None,
}


def cell(count: int = 1, **figures: Any) -> dict[str, Any]:
    row = dict.fromkeys(("hr@10", "ndcg@10", "mrr@10", "kept", "jaccard", "rbo", "top1_changed"), 0.5)
    described = {"position": "end", "count": count, "replacement": "uniform", "n": N, "overlap": 0.25}
    return described | row | figures


def metrics(ndcg: float) -> dict[str, float]:
    return {"hr@10": 2 * ndcg, "ndcg@10": ndcg}


def measured(ndcg: float, overlap: float = 0.3, noise: float = 0.01, seed: int = 0) -> Measured:
    rng = np.random.default_rng(seed)
    users = rng.normal(0, noise, N)
    taking_part = np.where(np.arange(N) < 150, 1.0, np.nan)
    return Measured(
        test=metrics(ndcg),
        validation=metrics(ndcg),
        slices=[SLICE],
        attacks=[cell(kept=0.5, overlap=overlap)],
        per_user={
            CLEAN: (ndcg + users - users.mean()).astype(np.float32),
            ATTACKED: np.full(N, 0.02, dtype=np.float32) * taking_part.astype(np.float32),
            OVERLAP: (overlap + users * taking_part).astype(np.float32),
        },
    )


def arm(name: str, seed: int, figures: Measured) -> ArmResult:
    return ArmResult(
        name, seed, best_epoch=7, epochs=9, seconds=10.0 + seed, stop_reason="patience", measured=figures
    )


def report_of(*results: ArmResult, spec: TrainSpec | None = None, popularity: float = 0.03) -> dict[str, Any]:
    baselines = {"popularity": measured(popularity), "markov": measured(0.04)}
    return build_report(
        spec or TrainSpec(), FACTS, results, baselines, cascade=CASCADE, environment={"torch": "2"}
    )


def test_the_fields_that_clients_lean_on() -> None:
    report = report_of(arm("standard", 0, measured(0.05)), arm("cascade", 0, measured(0.06)))
    assert report["schema_version"] == 1
    assert list(report["arms"]) == ["standard", "cascade"]
    assert report["arms"]["cascade"]["test"]["ndcg@10"] == 0.06
    unknown = {"ndcg@10": None, "kept": None, "overlap": None}
    assert report["arms"]["cascade"]["attacks"] == [cell(kept=0.5, overlap=0.3, intervals=unknown)]
    assert report["arms"]["standard"]["seconds"] == 10.0
    assert report["baselines"]["popularity"]["test"]["ndcg@10"] == 0.03
    assert report["dataset"]["tied_last_two_share"] == 0.44
    assert report["environment"] == {"torch": "2"}
    assert TrainSpec.model_validate(report["spec"]) == TrainSpec()
    assert json.loads(json.dumps(report)) == report


def test_an_arm_is_the_mean_of_its_seeds() -> None:
    one, other = measured(0.04, overlap=0.2), measured(0.06, overlap=0.4, seed=1)
    report = report_of(arm("standard", 0, one), arm("standard", 1, other))
    body = report["arms"]["standard"]
    assert body["test"]["ndcg@10"] == pytest.approx(0.05)
    assert body["attacks"][0]["overlap"] == pytest.approx(0.3)
    assert (body["attacks"][0]["n"], body["attacks"][0]["position"]) == (N, "end")
    assert body["seconds"] == pytest.approx(10.5)
    assert [seed["seed"] for seed in body["seeds"]] == [0, 1]
    assert body["seeds"][1]["test"]["ndcg@10"] == 0.06
    assert body["seeds"][1]["best_epoch"] == 7


def test_a_figure_that_a_seed_lacks_has_no_mean() -> None:
    broken = replace(measured(0.04), attacks=[cell(kept=None, overlap=0.2)])
    body = report_of(arm("standard", 0, measured(0.05)), arm("standard", 1, broken))["arms"]["standard"]
    assert body["attacks"][0]["kept"] is None
    assert body["attacks"][0]["overlap"] == pytest.approx(0.25)


def test_a_figure_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        report_of(arm("standard", 0, measured(float("nan"))))


def test_comparisons_are_paired_by_user() -> None:
    # The users differ by far more than the arms, but in the same way in each: a paired interval is narrow.
    standard, cascade = measured(0.05, 0.3, noise=0.5), measured(0.06, 0.4, noise=0.5)
    report = report_of(arm("standard", 0, standard), arm("cascade", 0, cascade))
    rows = {row["metric"]: row for row in report["comparisons"]}
    assert {(row["arm"], row["against"]) for row in report["comparisons"]} == {("cascade", "standard")}
    assert rows[CLEAN]["difference"] == pytest.approx(0.01, abs=1e-6)
    assert rows[CLEAN]["interval"] == pytest.approx([0.01, 0.01], abs=1e-6)
    assert (rows[CLEAN]["n"], rows[OVERLAP]["n"]) == (N, 150)
    assert rows[OVERLAP]["difference"] == pytest.approx(0.1, abs=1e-6)
    assert rows[ATTACKED]["difference"] == 0.0


def test_what_an_arm_costs() -> None:
    standard, cascade = arm("standard", 0, measured(0.05)), arm("cascade", 0, measured(0.06))
    report = report_of(standard, replace(cascade, seconds=25.0, epochs=10))
    (row,) = report["costs"]
    assert (row["arm"], row["against"]) == ("cascade", "standard")
    assert row["clean_ndcg@10_ratio"] == pytest.approx(1.2)
    ratios = {"ratio": 2.5, "epoch_ratio": 2.5 * 9 / 10}
    assert row["seconds"] == pytest.approx({"arm": 25.0, "against": 10.0, "extra": 15.0} | ratios)
    assert "It has 120.0% of standard's clean NDCG@10." in report["verdict"]
    page = render_markdown(report)
    assert "Cascade trained 15 s more than standard (2.50 times as long)." in page
    assert "| cascade | 1.200 | 25 | +15 | 2.50 | 2.25 |" in page
    instant = report_of(replace(standard, seconds=0.0), replace(cascade, seconds=0.0))
    assert instant["costs"][0]["seconds"]["ratio"] is None
    assert "Cascade trained 0 s more than standard." in render_markdown(instant)
    assert report_of(arm("cascade", 0, measured(0.06)))["costs"] == []
    assert "no standard arm" in render_markdown(report_of(arm("cascade", 0, measured(0.06))))


def test_intervals_of_an_arm_are_those_of_the_mean_over_seeds() -> None:
    users = [np.random.default_rng(seed).normal(0.1, 0.05, N).astype(np.float32) for seed in (0, 1)]
    cells = {"ndcg@10": 0.5, "kept": 0.25, "overlap": 2.0}
    seeds = []
    for values in users:
        means = resampled_means({CLEAN: values})[CLEAN]
        others = {f"attacks.end.1.uniform.{name}": means * np.float32(by) for name, by in cells.items()}
        seeds.append(replace(measured(0.05), resampled={CLEAN: means} | others))
    report = report_of(*(arm("standard", seed, one) for seed, one in enumerate(seeds)))
    body = report["arms"]["standard"]
    expected = bootstrap_interval(np.mean(users, axis=0).astype(np.float64))
    assert body["test_intervals"]["ndcg@10"] == pytest.approx(expected, rel=1e-4)
    for name, by in cells.items():
        found = body["attacks"][0]["intervals"][name]
        assert found == pytest.approx([bound * by for bound in expected], rel=1e-4)
    own = body["seeds"][1]["test_intervals"]["ndcg@10"]
    assert own == pytest.approx(bootstrap_interval(users[1].astype(np.float64)), rel=1e-4)
    assert f"{body['test']['ndcg@10']:.4f} ({expected[0]:.4f} to {expected[1]:.4f})" in render_markdown(
        report
    )


def test_which_arms_are_compared() -> None:
    arms = [
        arm(name, seed, measured(0.05)) for name in ("standard", "adversarial", "cascade") for seed in (0, 1)
    ]
    pairs = [(row["arm"], row["against"]) for row in report_of(*arms)["comparisons"][::3]]
    assert pairs == [("adversarial", "standard"), ("cascade", "standard"), ("cascade", "adversarial")]
    without = replace(measured(0.05), per_user={CLEAN: measured(0.05).per_user[CLEAN]})
    few = report_of(arm("adversarial", 0, without), arm("cascade", 0, measured(0.05)))["comparisons"]
    assert [(row["arm"], row["against"], row["metric"]) for row in few] == [("cascade", "adversarial", CLEAN)]


def test_the_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(3).normal(1.0, 2.0, 400)
    low, high = bootstrap_interval(values)
    error = 1.96 * values.std() / np.sqrt(400)
    assert (low, high) == (
        pytest.approx(values.mean() - error, abs=0.04),
        pytest.approx(values.mean() + error, abs=0.04),
    )
    assert bootstrap_interval(values) == (low, high)


def test_the_verdict_in_words() -> None:
    better = report_of(arm("standard", 0, measured(0.05)), arm("cascade", 0, measured(0.06, 0.4)))["verdict"]
    assert (
        "Cascade against standard: clean NDCG@10 higher by 0.0100 (95 % interval 0.0100 to 0.0100)" in better
    )
    assert "no measurable difference in NDCG@10 with the last item replaced" in better
    assert "One seed was trained" in better
    worse = report_of(arm("standard", 0, measured(0.06)), arm("cascade", 0, measured(0.05)))["verdict"]
    assert "clean NDCG@10 lower by 0.0100" in worse
    noisy = measured(0.0501, noise=0.5, seed=5)
    same = report_of(arm("standard", 0, measured(0.05)), arm("cascade", 0, noisy))["verdict"]
    assert "no measurable difference in clean NDCG@10" in same
    assert "Nothing to compare" in report_of(arm("standard", 0, measured(0.05)))["verdict"]


def test_losing_to_popularity_is_said() -> None:
    report = report_of(arm("standard", 0, measured(0.05)), arm("cascade", 0, measured(0.03)), popularity=0.03)
    assert [(w["code"], w["arm"]) for w in report["warnings"]] == [("nothing_learnt", "cascade")]
    assert report["verdict"].startswith(
        "Cascade ranks no better than popularity (NDCG@10 0.0300 against 0.0300)"
    )


def test_the_protocol_hash_follows_what_makes_figures_comparable() -> None:
    def hashed(content: str = "c", **given: Any) -> str:
        return protocol_hash(protocol_of(TrainSpec.model_validate(given)), content)

    same = [{"epochs": 3}, {"model": "gru4rec"}, {"seed": 4}, {"gamma": 0.5}, {"attack_counts": [5, 2, 1]}]
    assert {hashed(**given) for given in same} == {hashed()}
    other = [
        {"exclude_seen": False},
        {"max_length": 20},
        {"attack_seed": 1},
        {"attack_repeats": 4},
        {"attack_counts": [1]},
        {"attack_positions": ["end"]},
        {"attack_positions": ["highest_cascade"]},
        {"attack_positions": ["highest_cascade"], "kappa": 0.5},
        {"content": "d"},
    ]
    assert len({hashed(), *(hashed(**given) for given in other)}) == len(other) + 1  # type: ignore[arg-type]


def test_the_page() -> None:
    page = render_markdown(report_of(arm("standard", 0, measured(0.05)), arm("cascade", 0, measured(0.06))))
    assert "|  | HR@10 | NDCG@10 | kept, last 1 | overlap, last 1 | seconds |" in page
    assert "| cascade | 0.1200 | 0.0600 | 0.50 | 0.30 | 10 |" in page
    assert "| popularity | 0.0600 | 0.0300 | 0.50 | 0.30 | – |" in page
    assert "| users whose last two interactions carry the same time | 44% |" in page
    assert "| activity | 3 to 9 | 200 | 0.0400 | 0.0100 | – |" in page
    assert "nan" not in page.lower()
    for line in page.splitlines():
        assert not line.startswith("|") or line.endswith(" |")


def test_a_result_survives_a_checkpoint() -> None:
    resampled = {CLEAN: np.arange(4, dtype=np.float32)}
    result = arm("cascade", 3, replace(measured(0.05), resampled=resampled))
    tensors, state = unpack(pack(*result.to_state()))
    read = ArmResult.from_state({**tensors, "weight": tensors[f"per_user.{CLEAN}"]}, state)
    assert read.measured.per_user.keys() == result.measured.per_user.keys()
    for name, values in result.measured.per_user.items():
        np.testing.assert_array_equal(read.measured.per_user[name], values)
    np.testing.assert_array_equal(read.measured.resampled[CLEAN], resampled[CLEAN])
    bare, expected = (replace(one.measured, per_user={}, resampled={}) for one in (read, result))
    assert replace(read, measured=bare) == replace(result, measured=expected)


def sequences() -> Sequences:
    rng = np.random.default_rng(0)
    rows = [rng.integers(1, 21, rng.integers(2, 12)).tolist() for _ in range(60)]
    offsets = np.cumsum([0, *map(len, rows)])
    items = np.array([item for row in rows for item in row], dtype=np.int32)
    return Sequences([f"u{u}" for u in range(60)], [f"i{i}" for i in range(20)], offsets, items)


def test_from_data_to_page() -> None:
    data = sequences()
    split, spec = leave_one_out(data), TrainSpec(max_length=4)
    ticks: list[float] = []
    phases: list[int] = []
    baselines = {
        "popularity": measure(Popularity(split), split, spec),
        "markov": measure(
            Markov(split), split, spec, tick=ticks.append, attacking=lambda: phases.append(len(ticks))
        ),
    }
    assert ticks[:2] == [1.0, 1.0]
    assert phases == [2]
    assert len(ticks) == 2 + 18 * 3
    assert ticks[2:] == sorted(ticks[2:])
    assert ticks[-1] == 1.0
    markov = baselines["markov"]
    assert float(markov.per_user[CLEAN].mean()) == pytest.approx(markov.test["ndcg@10"])
    row = next(row for row in markov.attacks if row["position"] == "end" and row["count"] == 1)
    assert float(np.nanmean(markov.per_user[ATTACKED])) == pytest.approx(row["ndcg@10"])
    facts = dataset_facts(split, data, cut_windows(split.train, 4))
    assert (facts["users"], facts["items"], facts["interactions"]) == (60, 20, len(data.items))
    assert facts["tied_last_two_share"] is None
    assert facts["cold_targets"] == int((split.item_counts[split.test_target] == 0).sum())
    result = ArmResult("standard", 0, 1, 2, 3.0, "epochs", markov)
    report = build_report(spec, facts, [result], baselines, cascade=CASCADE, environment={})
    assert len(report["arms"]["standard"]["attacks"]) == 18
    # Attacks on five items want windows longer than five; there is none.
    assert {row["n"] for row in report["arms"]["standard"]["attacks"] if row["count"] == 5} == {0}
    page = render_markdown(report)
    assert "| end | 5 | uniform | 0 | – | – |" in page
    body = report["arms"]["standard"]
    low, high = body["test_intervals"]["ndcg@10"]
    assert low < body["test"]["ndcg@10"] < high
    for attack in body["attacks"]:
        for name, interval in attack["intervals"].items():
            if attack["n"]:
                assert interval[0] <= attack[name] <= interval[1]
            else:
                assert interval is None
    assert f"| history length | 1 to 5 | {len(split.eval_users)} |" in page
    for by in ("history_length", "activity", "target_popularity"):
        rows = [row for row in body["slices"] if row["by"] == by]
        assert sum(row["users"] for row in rows) == len(split.eval_users)
        clean = sum(row["users"] * row["ndcg@10"] for row in rows) / len(split.eval_users)
        assert clean == pytest.approx(body["test"]["ndcg@10"])


def test_the_content_hash_sees_ids_order_and_owner() -> None:
    data = sequences()
    swapped = data.items.copy()
    swapped[[0, 1]] = swapped[[1, 0]] if swapped[0] != swapped[1] else [swapped[0], swapped[1] % 20 + 1]
    shifted = data.offsets.copy()
    shifted[1] += 1
    changes: list[dict[str, Any]] = [
        {"items": swapped},
        {"offsets": shifted},
        {"item_ids": ["x", *data.item_ids[1:]]},
        {"user_ids": ["x", *data.user_ids[1:]]},
    ]
    hashes = {content_hash(replace(data, **change)) for change in changes}
    assert len(hashes | {content_hash(data)}) == 5
    assert content_hash(sequences()) == content_hash(data)
