"""A stored model on data sets: its own, one with unknown items, one that has its training in the targets."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.worker.training.test_experiment import SMALL, markov_log
from worker.training.evaluation.outcomes import OUTCOMES_FILE, read_outcomes
from worker.training.evaluation.pairing import paired
from worker.training.experiment import ExperimentResult, run_experiment
from worker.training.progress import MemoryCheckpoints, SilentProgress
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec
from worker.training.stored_model import (
    ModelEvaluation,
    NoKnownItemsError,
    StoredModelError,
    Trained,
    evaluate_stored,
)

SPEC = TrainSpec.model_validate(
    SMALL
    | {"epochs": 8, "warmup_epochs": 2, "min_epochs": 0, "arms": ["standard", "adversarial"], "seeds": [0, 1]}
    | {"attack_positions": ["end", "highest_cascade"], "attack_replacements": ["uniform", "gradient"]}
)


@pytest.fixture(scope="module")
def job() -> ExperimentResult:
    return run_experiment(
        SPEC,
        markov_log(),
        progress=SilentProgress(),
        checkpoints=MemoryCheckpoints(),
        runtime=Runtime("cpu", 1),
    )


def evaluated(
    job: ExperimentResult, log: pl.DataFrame, *, trained: bool = True, spec: TrainSpec = SPEC, at: int = 0
) -> ModelEvaluation:
    model = job.models[at]
    return evaluate_stored(
        model.files,
        spec,
        log,
        model={"name": "films", "arm": model.arm, "seed": model.seed},
        trained=Trained(markov_log(), SPEC) if trained else None,
        runtime=Runtime("cpu", 1),
        phase=lambda _: None,
        tick=lambda _: None,
    )


def test_on_its_own_data_the_figures_are_the_jobs(job: ExperimentResult) -> None:
    found = evaluated(job, markov_log()).report
    (own,) = [one for one in job.report["arms"]["standard"]["seeds"] if one["seed"] == 0]
    body = found["arms"]["standard"]
    assert {name: body[name] for name in ("test", "validation", "attacks", "slices", "test_intervals")} == {
        name: own[name] for name in ("test", "validation", "attacks", "slices", "test_intervals")
    }
    assert found["baselines"] == job.report["baselines"]
    assert found["protocol_hash"] == job.report["protocol_hash"]
    assert found["training"] == {"checked": True, "targets_in_training": 0}
    assert found["unknown"] == {
        "items": 0,
        "interactions": 0,
        "examples": [],
        "missed_targets": found["dataset"]["cold_targets"],
        "users_without_known_history": 0,
    }


def test_rows_in_another_order_change_numbers_but_not_what_the_model_finds(job: ExperimentResult) -> None:
    """Items and users get other numbers; only ties' and draws' shuffles follow those."""
    by_user = markov_log().with_row_index().sort(pl.col("user").hash(7), "index").drop("index")
    again = evaluated(job, by_user).report["arms"]["standard"]["test"]
    own = evaluated(job, markov_log()).report["arms"]["standard"]["test"]
    assert again["ndcg@10"] == pytest.approx(own["ndcg@10"], abs=1e-6)


def test_unknown_items_are_left_out_named_and_missed(job: ExperimentResult) -> None:
    log = markov_log(users=60, seed=0)
    first = log.group_by("user", maintain_order=True).head(1)
    stranger = pl.DataFrame(
        [("lost", f"new{n}") for n in range(4)] + [("u0", "new9")], schema=["user", "item"], orient="row"
    )
    plain = evaluated(job, log)
    mixed = evaluated(job, pl.concat([log, stranger]))
    unknown = mixed.report["unknown"]
    assert (unknown["items"], unknown["interactions"]) == (5, 5)
    assert unknown["examples"] == ["new0", "new1", "new2", "new3", "new9"]
    assert unknown["users_without_known_history"] == 1
    assert unknown["missed_targets"] >= 2
    assert {"unknown_items", "no_gradient_attack"} <= {w["code"] for w in mixed.report["warnings"]}
    assert first.height == 60
    users, without = read_outcomes(mixed.outcomes), read_outcomes(plain.outcomes)
    figures = users.figures["standard", 0]["test.ndcg@10"]
    same = np.isin(users.users, without.users) & (users.users != without.users[0])
    assert figures[0] == 0.0  # u0's target is unknown now
    assert figures[-1] == 0.0  # and this user's history is
    # Five more candidates that stand behind all others change nobody else's rank.
    np.testing.assert_array_equal(figures[same], without.figures["standard", 0]["test.ndcg@10"][1:])


def test_targets_that_the_model_was_trained_with_are_counted(job: ExperimentResult) -> None:
    log = markov_log()
    # Without everybody's last two interactions the test targets are what the job had trained with.
    shorter = log.with_columns(
        pl.int_range(pl.len()).over("user").alias("at"), pl.len().over("user").alias("n")
    )
    shorter = shorter.filter(pl.col("at") < pl.col("n") - 2).drop("at", "n")
    found = evaluated(job, shorter).report
    assert found["training"]["targets_in_training"] > 0.5 * found["dataset"]["eval_users"]
    assert "targets_in_training" in {warning["code"] for warning in found["warnings"]}
    blind = evaluated(job, shorter, trained=False).report
    assert blind["training"] == {"checked": False, "targets_in_training": None}
    assert "training_unknown" in {warning["code"] for warning in blind["warnings"]}


def test_what_an_earlier_model_had_met_is_not_called_checked(job: ExperimentResult) -> None:
    model = job.models[0]
    config = json.loads(model.files["config.json"])
    config["spec"]["init_from"] = "mdl_earlier"
    warm = replace(model, files={**model.files, "config.json": json.dumps(config).encode()})
    later = replace(job, models=[warm])
    found = evaluated(later, markov_log()).report
    assert found["training"] == {"checked": False, "targets_in_training": None}
    codes = {warning["code"] for warning in found["warnings"]}
    assert "warm_started" in codes
    assert "training_unknown" not in codes
    assert "was not checked" in found["verdict"]
    assert {"warm_started", "training_unknown"} <= {
        warning["code"] for warning in evaluated(later, markov_log(), trained=False).report["warnings"]
    }


def test_what_it_cannot_do_it_says(job: ExperimentResult) -> None:
    other = pl.DataFrame([("u", f"x{n}") for n in range(5)], schema=["user", "item"], orient="row")
    with pytest.raises(NoKnownItemsError, match="none of the data set's 5 items"):
        evaluated(job, other)
    with pytest.raises(StoredModelError, match="settings"):
        evaluated(job, markov_log(), spec=SPEC.model_copy(update={"hidden_size": 8}))


def test_outcomes_give_the_reports_own_comparisons(job: ExperimentResult) -> None:
    outcomes = read_outcomes(job.documents[OUTCOMES_FILE])
    assert len(np.unique(outcomes.users)) == job.report["dataset"]["eval_users"]
    rows = job.report["comparisons"]
    assert len(rows) == 3

    def mean(arm: str, metric: str) -> Any:
        seeds = [outcomes.figures[arm, seed][metric].astype(np.float64) for seed in (0, 1)]
        return np.mean(seeds, axis=0)

    found = paired([(mean(row["arm"], row["metric"]), mean(row["against"], row["metric"])) for row in rows])
    for row, one in zip(rows, found, strict=True):
        assert one is not None
        assert [one.difference, one.low, one.high] == pytest.approx([row["difference"], *row["interval"]])
        assert one.n == row["n"]
