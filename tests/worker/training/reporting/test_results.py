"""What was measured of an arm: from data to the page, into a checkpoint and back; and the data's hash."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.worker.training.reporting.invented import CASCADE, arm, measured
from worker.training.data.batching import cut_windows
from worker.training.data.sequences import Sequences
from worker.training.data.split import leave_one_out
from worker.training.evaluation.baselines import Markov, Popularity
from worker.training.fitting.checkpoint import pack, unpack
from worker.training.reporting.markdown import render_markdown
from worker.training.reporting.report import build_report
from worker.training.reporting.results import (
    ATTACKED,
    CLEAN,
    INTERVALS,
    ArmResult,
    content_hash,
    dataset_facts,
    measure,
)
from worker.training.spec import TrainSpec


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
    attacking = ticks[2 : 2 + 18 * 3]
    assert attacking == sorted(attacking)
    assert attacking[-1] == 1.0
    assert set(ticks[2 + 18 * 3 :]) == {1.0}  # while users are resampled
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
                assert interval[0] - 1e-6 <= attack[name] <= interval[1] + 1e-6
            else:
                assert interval is None
        assert attack["intervals"].keys() == set(INTERVALS["attacks"])
    assert body["test_intervals"].keys() == {"hr@10", "ndcg@10", "mrr@10"}
    (everyone,) = [row for row in body["slices"] if row["by"] == "history_length"]
    last = next(row for row in body["attacks"] if row["position"] == "end" and row["count"] == 1)
    expected = {
        "ndcg@10": body["test_intervals"]["ndcg@10"],
        "attacked_ndcg@10": last["intervals"]["ndcg@10"],
        "overlap": last["intervals"]["overlap"],
    }
    for name, interval in expected.items():
        assert everyone["intervals"][name] == pytest.approx(interval, rel=1e-5)
    for part in [row for row in body["slices"] if row["users"] > 9]:
        for name, (low, high) in part["intervals"].items():
            assert low - 1e-6 <= part[name] <= high + 1e-6
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
