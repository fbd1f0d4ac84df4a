"""The report's figures, intervals, hash and words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.plain_bootstrap import bootstrap_interval
from tests.worker.training.reporting.invented import N, arm, cell, measured, report_of
from worker.training.attacks.neighbours import KEPT, REACH
from worker.training.attacks.replacement import DrawKey, Replacements, attacked_places
from worker.training.evaluation.bootstrap import resampled_means
from worker.training.evaluation.metrics import METRICS_AT, RBO_PERSISTENCE
from worker.training.evaluation.ranking import LIST_LENGTH, catalogue_shuffle
from worker.training.evaluation.slices import LENGTH_BINS, POPULARITY_BINS
from worker.training.reporting import report as report_module
from worker.training.reporting.markdown import render_markdown
from worker.training.reporting.package import model_card
from worker.training.reporting.report import DEFINITIONS, protocol_hash, protocol_of
from worker.training.reporting.results import (
    CLEAN,
    INTERVALS,
)
from worker.training.reporting.tables import number
from worker.training.spec import TrainSpec


def test_the_fields_that_clients_lean_on() -> None:
    report = report_of(arm("standard", 0, measured(0.05)), arm("cascade", 0, measured(0.06)))
    assert report["schema_version"] == 1
    assert list(report["arms"]) == ["standard", "cascade"]
    assert report["arms"]["cascade"]["test"]["ndcg@10"] == 0.06
    unknown = dict.fromkeys(INTERVALS["attacks"])
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
    broken = replace(measured(0.04), attacks=[cell(rbo=None, overlap=0.2)])
    body = report_of(arm("standard", 0, measured(0.05)), arm("standard", 1, broken))["arms"]["standard"]
    assert body["attacks"][0]["rbo"] is None
    assert body["attacks"][0]["overlap"] == pytest.approx(0.25)


def test_what_an_arm_keeps_is_what_the_figures_beside_it_say() -> None:
    seeds = [cell(**{"ndcg@10": 0.1, "clean_ndcg@10": 0.2, "kept": 0.5})]
    nothing = [cell(**{"ndcg@10": 0.0, "clean_ndcg@10": 0.0, "kept": None})]
    runs = [replace(measured(0.05), attacks=attacks) for attacks in (seeds, nothing)]
    body = report_of(*(arm("standard", seed, one) for seed, one in enumerate(runs)))["arms"]["standard"]
    (row,) = body["attacks"]
    assert (row["ndcg@10"], row["clean_ndcg@10"], row["kept"]) == (0.05, 0.1, 0.5)
    assert [seed["attacks"][0]["kept"] for seed in body["seeds"]] == [0.5, None]


def test_a_figure_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        report_of(arm("standard", 0, measured(float("nan"))))


def test_intervals_of_an_arm_are_those_of_the_mean_over_seeds() -> None:
    users = [np.random.default_rng(seed).normal(0.1, 0.05, N).astype(np.float32) for seed in (0, 1)]
    cells = {"ndcg@10": 0.5, "clean_ndcg@10": 0.75, "overlap": 2.0}
    seeds = []
    for values in users:
        means = resampled_means({CLEAN: values})[CLEAN]
        others = {"attacks.end.1.uniform.kept": means} | {
            f"attacks.end.1.uniform.{name}": means * np.float32(by) for name, by in cells.items()
        }
        seeds.append(replace(measured(0.05), resampled={CLEAN: means} | others))
    report = report_of(*(arm("standard", seed, one) for seed, one in enumerate(seeds)))
    body = report["arms"]["standard"]
    expected = bootstrap_interval(np.mean(users, axis=0).astype(np.float64))
    assert body["test_intervals"]["ndcg@10"] == pytest.approx(expected, rel=1e-4)
    for name, by in cells.items():
        found = body["attacks"][0]["intervals"][name]
        assert found == pytest.approx([bound * by for bound in expected], rel=1e-4)
    # A ratio of means, not a mean of ratios: no seed's own `kept` is asked.
    assert body["attacks"][0]["intervals"]["kept"] == pytest.approx([0.5 / 0.75] * 2, rel=1e-4)
    own = body["seeds"][1]["test_intervals"]["ndcg@10"]
    assert own == pytest.approx(bootstrap_interval(users[1].astype(np.float64)), rel=1e-4)
    assert f"{body['test']['ndcg@10']:.4f} ({expected[0]:.4f} to {expected[1]:.4f})" in render_markdown(
        report
    )


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
    assert [(w["code"], w["arm"]) for w in report["warnings"]] == [
        ("nothing_learnt", "cascade"),
        ("below_markov", "cascade"),
    ]
    assert report["verdict"].startswith(
        "Cascade ranks no better than popularity (NDCG@10 0.0300 against 0.0300)"
    )


def test_losing_to_the_last_item_is_said() -> None:
    report = report_of(arm("standard", 0, measured(0.05)), arm("cascade", 0, measured(0.035)))
    assert [(w["code"], w["arm"]) for w in report["warnings"]] == [("below_markov", "cascade")]
    said = "ascade ranks no better than the last-item Markov baseline (NDCG@10 0.0350 against 0.0400)"
    assert said in report["verdict"]
    assert said in model_card(report, "cascade", 0)
    assert said not in model_card(report, "standard", 0)


def test_a_seed_that_loses_is_said_though_its_arm_does_not_and_stands_on_its_own_card() -> None:
    seeds = [arm("standard", seed, measured(level)) for seed, level in enumerate((0.02, 0.08))]
    report = report_of(*seeds, popularity=0.04)
    (row,) = [row for row in report["warnings"] if row["code"] == "nothing_learnt"]
    assert (row["arm"], row["seed"]) == ("standard", 0)
    assert row["message"].startswith("standard, seed 0 ranks no better than popularity (NDCG@10 0.0200")
    cards = [model_card(report, "standard", seed) for seed in (0, 1)]
    for part in ("python load.py", "from load import model", "worker/training/portable.py"):
        assert all(part in card for card in cards)
    assert ["no better than popularity" in card for card in cards] == [True, False]

    seeds = [arm("standard", seed, measured(level)) for seed, level in enumerate((0.02, 0.05))]
    low = report_of(*seeds, popularity=0.04)["warnings"]
    assert [row.get("seed") for row in low if row["code"] == "nothing_learnt"] == [None, 0]
    assert low[0]["message"].startswith("standard, mean over 2 seeds, ranks no better than popularity")
    all_low = report_of(*seeds, popularity=0.06)["warnings"]
    assert [row.get("seed") for row in all_low if row["code"] == "nothing_learnt"] == [None]


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


def test_the_hash_says_by_which_definitions_figures_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    before = protocol_hash(protocol_of(TrainSpec()), "c")
    monkeypatch.setattr(report_module, "DEFINITIONS", DEFINITIONS + 1)
    assert protocol_hash(protocol_of(TrainSpec()), "c") != before


def test_what_is_pinned_here_changes_only_together_with_the_definitions() -> None:
    """Whoever changes one of these raises DEFINITIONS, and then the numbers here."""
    key, users, places = DrawKey(seed=3, repeat=1), np.array([7, 8]), np.array([[0, 1], [0, 1]])
    counts = np.array([0, 5, 1, 0, 9, 4, 2])
    drawn = [
        Replacements(counts)
        .draw(kind, key, users=users, places=places, originals=places + 1, targets=np.array([3, 4]))
        .tolist()
        for kind in ("uniform", "popularity")
    ]
    chosen = attacked_places("random", 2, users, np.array([9, 5]), key).tolist()
    constants = (RBO_PERSISTENCE, METRICS_AT, LIST_LENGTH, REACH, KEPT, LENGTH_BINS, POPULARITY_BINS)
    by_one = (0.9, (5, 10, 20), 10, 5, 50, (1, 6, 11, 21, 51), (0, 1, 6, 21, 101))
    assert (DEFINITIONS, constants) == (1, by_one)
    assert (drawn, chosen) == ([[[6, 6], [5, 6]], [[4, 5], [5, 5]]], [[2, 6], [1, 0]])
    assert catalogue_shuffle(8).tolist() == [8, 7, 0, 4, 3, 6, 1, 5, 2]


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


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [(-0.00001, 4, "0.0000"), (-0.5, 0, "0"), (-0.25, 2, "-0.25"), (None, 4, "–")],
)
def test_nothing_is_written_without_a_sign(value: float | None, digits: int, written: str) -> None:
    assert number(value, digits) == written
