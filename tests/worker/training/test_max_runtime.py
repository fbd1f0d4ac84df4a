"""A run whose time is over ends with what it has; one that has nothing says so and can go on later."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.worker.training.reporting.test_schema import SCHEMA
from tests.worker.training.test_experiment import SMALL, Recorder, run, without_seconds
from worker.training.portable import load_model
from worker.training.progress import Control, MemoryCheckpoints, OutOfTimeError, StepProgress
from worker.training.spec import TrainSpec

SPEC = TrainSpec.model_validate({**SMALL, "epochs": 8, "warmup_epochs": 2})


class OutOfTime(Recorder):
    """Asks to finish from the first step of an arm's epoch on."""

    def __init__(self, arm: str, epoch: int) -> None:
        super().__init__()
        self._at = (arm, epoch)

    def step(self, at: StepProgress) -> Control:
        super().step(at)
        self._reached = getattr(self, "_reached", False) or (at.arm, at.epoch) == self._at
        return Control.FINISH if self._reached else Control.CONTINUE


def test_the_arm_in_training_ends_with_its_best_epoch_and_the_rest_is_not_run() -> None:
    heard, checkpoints = OutOfTime("adversarial", 5), MemoryCheckpoints()
    result = run(SPEC, heard, checkpoints)
    assert result.stop_reason == "max_runtime"
    assert [model.arm for model in result.models] == ["standard", "adversarial"]
    whole, cut = (result.report["arms"][arm]["seeds"][0] for arm in ("standard", "adversarial"))
    assert (whole["stop_reason"], whole["epochs"]) == ("epochs", 8)
    assert (cut["stop_reason"], cut["epochs"]) == ("max_runtime", 5)
    best = max(cut["history"], key=lambda row: row["ndcg@10"] or 0.0)
    assert cut["best_epoch"] == best["epoch"]
    assert cut["validation"]["ndcg@10"] == pytest.approx(best["ndcg@10"])
    rows = [(row["code"], row["arm"], row.get("seed")) for row in result.report["warnings"]]
    assert rows[:2] == [("max_runtime", "adversarial", 0), ("not_run", "cascade", 0)]
    assert "ended by max_runtime after epoch 5 of at most 8" in result.report_markdown
    assert "was ended by max_runtime" in result.models[1].files["README.md"].decode()
    assert ("training", "cascade") not in heard.phases
    assert len(load_model(result.models[1].files).recommend(["i1", "i2"], k=5)) == 5
    for kind, arm in (("warmup", "warmup"), ("progress", "adversarial"), ("progress", "cascade")):
        assert checkpoints.load(kind, 0, arm) == []  # type: ignore[arg-type]


def test_an_arm_of_one_seed_more_is_compared_over_the_seeds_that_both_have() -> None:
    spec = SPEC.model_copy(update={"arms": ("standard", "cascade"), "seeds": (0, 1)})

    class InSecondSeed(Recorder):
        def step(self, at: StepProgress) -> Control:
            super().step(at)
            over = at.seed == 1 and at.arm == "standard" and at.epoch >= 5
            return Control.FINISH if over else Control.CONTINUE

    report = run(spec, InSecondSeed(), MemoryCheckpoints()).report
    assert [seed["seed"] for seed in report["arms"]["standard"]["seeds"]] == [0, 1]
    assert [seed["seed"] for seed in report["arms"]["cascade"]["seeds"]] == [0]
    clean = [row for row in report["comparisons"] if row["metric"] == "test.ndcg@10"]
    seed_0 = [report["arms"][arm]["seeds"][0]["test"]["ndcg@10"] for arm in ("standard", "cascade")]
    assert clean[0]["difference"] == pytest.approx(seed_0[1] - seed_0[0], abs=1e-6)


def test_a_run_with_nothing_to_choose_keeps_its_progress() -> None:
    checkpoints = MemoryCheckpoints()
    with pytest.raises(OutOfTimeError) as raised:
        run(SPEC.model_copy(update={"arms": ("standard",)}), OutOfTime("warmup", 1), checkpoints)
    assert raised.value.code == "max_runtime_exceeded"
    assert checkpoints.load("progress", 0, "warmup")
    alone = SPEC.model_copy(update={"arms": ("standard",)})
    later = run(alone, Recorder(), checkpoints).report
    whole = run(alone, Recorder(), MemoryCheckpoints()).report
    assert without_seconds(later["arms"]) == without_seconds(whole["arms"])


def test_taken_up_again_when_its_time_is_over_it_ends_with_what_was_saved() -> None:
    checkpoints = MemoryCheckpoints()

    class Crash(Recorder):
        def step(self, at: StepProgress) -> Control:
            super().step(at)
            return Control.SAVE_AND_STOP if (at.arm, at.epoch) == ("adversarial", 6) else Control.CONTINUE

    with pytest.raises(Exception, match="told to stop"):
        run(SPEC, Crash(), checkpoints)
    result = run(SPEC, Recorder(1, Control.FINISH), checkpoints)
    assert [model.arm for model in result.models] == ["standard", "adversarial"]
    assert result.report["arms"]["adversarial"]["seeds"][0]["epochs"] == 6


class Concluding(Recorder):
    """Asks to conclude as soon as an arm and seed are being attacked."""

    def __init__(self, arm: str, seed: int = 0) -> None:
        super().__init__()
        self._at, self._over = ("attacking", arm, seed), False

    def phase(self, phase: str, *, arm: str | None = None, seed: int | None = None) -> None:
        super().phase(phase, arm=arm, seed=seed)
        self._over |= (phase, arm, seed) == self._at

    def step(self, at: StepProgress) -> Control:
        super().step(at)
        return Control.CONCLUDE if self._over else Control.CONTINUE


def attacked(body: dict[str, Any]) -> set[tuple[bool, bool]]:
    """Whether attack rows have users, and figures."""
    return {(row["n"] > 0, row["ndcg@10"] is not None) for row in body["attacks"]}


def test_attacks_for_which_there_is_no_time_are_left_out_and_named() -> None:
    spec, checkpoints = SPEC.model_copy(update={"arms": ("standard",)}), MemoryCheckpoints()
    result = run(spec, Concluding("standard"), checkpoints)
    report = result.report
    assert result.stop_reason == "max_runtime"
    assert [model.arm for model in result.models] == ["standard"]
    bodies = [
        report["arms"]["standard"],
        report["arms"]["standard"]["seeds"][0],
        *report["baselines"].values(),
    ]
    assert [attacked(body) for body in bodies] == [{(False, False)}] * 4
    assert all(body["test"]["ndcg@10"] > 0 for body in bodies)
    assert all(row["attacked_ndcg@10"] is None for row in report["arms"]["standard"]["slices"])
    rows = [(row["code"], row["arm"]) for row in report["warnings"]]
    assert rows[:3] == [("not_attacked", arm) for arm in ("standard", "popularity", "markov")]
    assert "Standard, seed 0 was not attacked: max_runtime was over" in report["verdict"]
    assert "tandard, seed 0 was not attacked" in result.report_markdown
    assert "was not attacked" in result.models[0].files["README.md"].decode()
    Draft202012Validator(SCHEMA).validate(report)

    again, whole = (run(spec, Recorder(), kept).report for kept in (checkpoints, MemoryCheckpoints()))
    assert without_seconds(again["arms"]) == without_seconds(whole["arms"])
    assert attacked(again["arms"]["standard"]) == {(True, True)}


def test_an_arm_of_which_one_seed_was_not_attacked_has_no_mean_under_attack() -> None:
    spec = SPEC.model_copy(update={"arms": ("standard", "cascade"), "seeds": (0, 1)})
    result = run(spec, Concluding("cascade", 1), MemoryCheckpoints())
    report = result.report
    of_cascade = [model.files["README.md"].decode() for model in result.models if model.arm == "cascade"]
    assert ["seed 1 was not attacked" in card for card in of_cascade] == [False, True]
    cascade = report["arms"]["cascade"]
    assert [attacked(seed) for seed in cascade["seeds"]] == [{(True, True)}, {(False, False)}]
    assert attacked(cascade) == {(False, False)}
    assert attacked(report["arms"]["standard"]) == {(True, True)}
    assert [row["metric"] for row in report["comparisons"]] == ["test.ndcg@10"]
    Draft202012Validator(SCHEMA).validate(report)
