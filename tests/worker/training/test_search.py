"""The search for an arm's share: what is chosen, what it is worth, and that it can be taken up again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.report_schema import JOB_REPORT
from tests.worker.training.test_experiment import SMALL, Recorder, run, without_seconds
from worker.training.experiment import ExperimentResult
from worker.training.fitting.checkpoint import unpack
from worker.training.fitting.checkpoint_folder import FolderCheckpoints
from worker.training.fitting.trainer import Outcome, Trainer
from worker.training.portable import WEIGHTS_FILE, load_model
from worker.training.progress import Control, DivergedError, MemoryCheckpoints, StepProgress, Stopped
from worker.training.search import Trial, choose
from worker.training.settings import Arm
from worker.training.spec import TrainSpec

SHARES = (0.2, 0.9)
SPEC = TrainSpec.model_validate(
    SMALL
    | {"epochs": 6, "warmup_epochs": 2, "min_epochs": 0, "validate_every": 1, "seeds": [3, 4]}
    | {"arms": ["standard", "cascade", "cascade_replacement"], "search_shares": SHARES, "search_floor": 0.5}
)


def trial(share: float, clean: float, attacked: float | None) -> Trial:
    return Trial(share, clean, attacked, 1, 1, "epochs", 1.0)


@pytest.mark.parametrize(
    ("trials", "chosen"),
    [
        ([(0.1, 1.04, 0.2), (0.2, 1.03, 0.3), (0.3, 1.02, 0.4)], 0.2),
        ([(0.1, 1.01, 0.2), (0.2, 1.02, 0.1), (0.3, 0.9, 0.4)], 0.2),
        ([(0.3, 1.1, 0.2), (0.1, 1.1, 0.2)], 0.1),
        ([(0.1, 1.05, None), (0.2, 1.2, None)], 0.2),
        ([(0.3, 0.9, 0.1), (0.1, 0.9, 0.1)], 0.1),
    ],
    ids=["steadiest of the accurate", "else the most accurate", "smaller of equals", "unattacked", "low"],
)
def test_the_steadiest_share_that_is_accurate_enough_is_chosen(
    trials: list[tuple[float, float, float | None]], chosen: float
) -> None:
    assert choose([trial(*one) for one in trials], standard=1.0, floor=1.03).share == chosen


class Named(Recorder):
    """Keeps the arms' names by seed as well."""

    def __init__(self) -> None:
        super().__init__()
        self.trained: set[tuple[str, int]] = set()

    def epoch(self, metrics: Any) -> None:
        super().epoch(metrics)
        self.trained.add((metrics.arm, metrics.seed))


@pytest.fixture(scope="module")
def undisturbed() -> tuple[ExperimentResult, Named, MemoryCheckpoints]:
    ear, checkpoints = Named(), MemoryCheckpoints()
    return run(SPEC, ear, checkpoints), ear, checkpoints


def shares(result: ExperimentResult) -> dict[str, float]:
    return {arm: body["share"] for arm, body in result.report["search"]["arms"].items()}


def test_the_report_says_what_was_tried_and_chosen(
    undisturbed: tuple[ExperimentResult, Named, MemoryCheckpoints],
) -> None:
    result, ear, _ = undisturbed
    JOB_REPORT.validate(result.report)
    found = result.report["search"]
    assert (found["seed"], found["floor"], found["complete"]) == (3, 0.5, True)
    seed_3 = {arm: body["seeds"][0] for arm, body in result.report["arms"].items()}
    assert found["standard"]["ndcg@10"] == seed_3["standard"]["validation"]["ndcg@10"]
    assert 0 < found["standard"]["attacked_ndcg@10"] < found["standard"]["ndcg@10"]
    for arm, setting in (("cascade", "perturb_share"), ("cascade_replacement", "replace_share")):
        body = found["arms"][arm]
        assert (body["setting"], [row["share"] for row in body["trials"]]) == (setting, list(SHARES))
        rows = [trial(row["share"], row["ndcg@10"], row["attacked_ndcg@10"]) for row in body["trials"]]
        assert len({row.attacked for row in rows}) == 2
        assert body["share"] == choose(rows, found["standard"]["ndcg@10"], 0.5).share
        (own,) = [row for row in body["trials"] if row["share"] == body["share"]]
        assert own["ndcg@10"] == seed_3[arm]["validation"]["ndcg@10"]
        assert own["best_epoch"] == seed_3[arm]["best_epoch"]
    assert "## Search for the shares" in result.report_markdown
    assert 'id="search"' in result.documents["report.html"].decode()
    assert ear.fractions == sorted(ear.fractions)
    assert ear.fractions[-1] == pytest.approx(1.0)
    chosen = {(f"{arm}_at_{share}", 4) for arm, share in shares(result).items()}
    tried = {(f"{arm}_at_{share}", 3) for arm in shares(result) for share in SHARES}
    plain = {(name, seed) for name in ("warmup", "standard") for seed in (3, 4)}
    assert ear.trained == plain | tried | chosen


def test_an_arm_is_what_its_share_alone_would_have_trained(
    undisturbed: tuple[ExperimentResult, Named, MemoryCheckpoints],
) -> None:
    result, _, _ = undisturbed
    found = shares(result)
    given = {"perturb_share": found["cascade"], "replace_share": found["cascade_replacement"]}
    alone = run(SPEC.model_copy(update={**given, "search_shares": ()}), Recorder(), MemoryCheckpoints())
    assert alone.report["search"] is None
    assert without_seconds(alone.report["arms"]) == without_seconds(result.report["arms"])
    for searched, plain in zip(result.models, alone.models, strict=True):
        assert (searched.arm, searched.seed) == (plain.arm, plain.seed)
        assert searched.files[WEIGHTS_FILE] == plain.files[WEIGHTS_FILE]
        spec = load_model(searched.files).config["spec"]
        if searched.arm == "cascade":
            assert spec["perturb_share"] == found["cascade"]
            assert "was chosen on validation" in searched.files["README.md"].decode()


def test_of_trials_that_were_not_chosen_no_weights_are_kept(
    undisturbed: tuple[ExperimentResult, Named, MemoryCheckpoints],
) -> None:
    result, _, checkpoints = undisturbed
    for arm, chosen in shares(result).items():
        for share in SHARES:
            (_, payload), *_ = checkpoints.load("best", 3, f"{arm}_at_{share}")
            tensors, _ = unpack(payload)
            assert any(name.startswith("model") for name in tensors) == (share == chosen)
            assert not checkpoints.load("progress", 3, f"{arm}_at_{share}")


class StopIn(Named):
    """Saves and stops at an epoch of a training."""

    def __init__(self, name: str, seed: int, control: Control = Control.SAVE_AND_STOP) -> None:
        super().__init__()
        self._name, self._seed, self._said = name, seed, control

    def step(self, at: StepProgress) -> Control:
        super().step(at)
        there = (at.arm, at.seed) == (self._name, self._seed) and at.epoch >= 4
        return self._said if there else Control.CONTINUE


@pytest.mark.parametrize("at", ["second share", "second seed"])
def test_taken_up_again_it_trains_no_share_twice(
    at: str, undisturbed: tuple[ExperimentResult, Named, MemoryCheckpoints]
) -> None:
    whole, _, _ = undisturbed
    name = "cascade_replacement_at_0.9" if at == "second share" else "standard"
    checkpoints, first, second = MemoryCheckpoints(), StopIn(name, 3 if at == "second share" else 4), Named()
    with pytest.raises(Stopped):
        run(SPEC, first, checkpoints)
    resumed = run(SPEC, second, checkpoints)
    assert without_seconds(resumed.report) == without_seconds(whole.report)
    assert first.trained & second.trained == {(name, 3 if at == "second share" else 4)}
    assert second.fractions[0] >= 3 / 8  # standard, and both shares of the first arm


def test_in_a_folder_of_files_it_is_taken_up_again_too(
    tmp_path: Path, undisturbed: tuple[ExperimentResult, Named, MemoryCheckpoints]
) -> None:
    whole, _, _ = undisturbed
    first, second = StopIn("cascade_replacement_at_0.9", 3), Named()
    with pytest.raises(Stopped):
        run(SPEC, first, FolderCheckpoints(tmp_path))
    resumed = run(SPEC, second, FolderCheckpoints(tmp_path))
    assert without_seconds(resumed.report) == without_seconds(whole.report)
    assert first.trained & second.trained == {("cascade_replacement_at_0.9", 3)}
    assert not list(tmp_path.glob("progress-*"))


def test_a_trial_that_is_cut_short_is_named_and_leaves_nothing_behind() -> None:
    checkpoints = MemoryCheckpoints()
    result = run(SPEC, StopIn("cascade_at_0.9", 3, control=Control.FINISH), checkpoints)
    JOB_REPORT.validate(result.report)
    found = result.report["search"]
    cut = found["arms"]["cascade"]["trials"][1]
    assert (cut["share"], cut["stop_reason"], cut["epochs"]) == (0.9, "max_runtime", 4)
    assert not found["arms"]["cascade"]["complete"]
    assert [row["share"] for row in found["arms"]["cascade_replacement"]["trials"]] == [0.2]
    warned = {row["arm"] for row in result.report["warnings"] if row["code"] == "search_cut_short"}
    assert warned == {"cascade", "cascade_replacement"}
    assert result.stop_reason == "max_runtime"
    assert {kind for (kind, _, _), kept in checkpoints._kept.items() if kept} == {"best"}


@pytest.mark.parametrize("at", [0.9, 0.2])
def test_a_share_at_which_training_diverges_is_left_out(at: float, monkeypatch: pytest.MonkeyPatch) -> None:
    train, spec = Trainer.train, SPEC.model_copy(update={"seeds": (3,), "arms": ("standard", "cascade")})

    def diverging(trainer: Trainer, arm: Arm, seed: int, share: float | None = None) -> Outcome:
        if share == at:
            raise DivergedError(f"arm {arm} diverged")
        return train(trainer, arm, seed, share)

    monkeypatch.setattr(Trainer, "train", diverging)
    heard = Recorder()
    result = run(spec, heard, MemoryCheckpoints())
    JOB_REPORT.validate(result.report)
    body = result.report["search"]["arms"]["cascade"]
    assert (body["diverged"], body["complete"]) == ([at], True)
    assert [row["share"] for row in body["trials"]] == [share for share in SHARES if share != at]
    assert [kind for kind, _ in heard.events].count("share_diverged") == 1
    assert f"Training cascade at {at} diverged." in result.report_markdown
    with pytest.raises(DivergedError):
        run(spec.model_copy(update={"search_shares": (at,)}), Recorder(), MemoryCheckpoints())


def test_told_to_finish_it_chooses_among_what_was_tried() -> None:
    result = run(SPEC, StopIn("cascade_at_0.2", 3, control=Control.FINISH), MemoryCheckpoints())
    JOB_REPORT.validate(result.report)
    found = result.report["search"]
    assert not found["complete"]
    assert [row["share"] for row in found["arms"]["cascade"]["trials"]] == [0.2]
    assert list(found["arms"]) == ["cascade"]
    assert result.stop_reason == "max_runtime"
    assert "time was over before all shares were tried" in result.report_markdown
    left_out = [(row["arm"], row["seed"]) for row in result.report["warnings"] if row["code"] == "not_run"]
    assert ("cascade_replacement", 3) in left_out


def test_where_no_share_is_accurate_enough_the_report_warns() -> None:
    spec = SPEC.model_copy(update={"search_floor": 2.0, "seeds": (3,), "arms": ("standard", "cascade")})
    result = run(spec, Recorder(), MemoryCheckpoints())
    body = result.report["search"]["arms"]["cascade"]
    assert not body["accurate_enough"]
    assert body["share"] == max(body["trials"], key=lambda row: row["ndcg@10"])["share"]
    (warning,) = [row for row in result.report["warnings"] if row["code"] == "no_share_accurate"]
    assert warning["arm"] == "cascade"
    assert "No share tried of cascade has 200 % of standard's" in result.report["verdict"]


def test_stability_trains_again_at_the_share_that_was_found(
    undisturbed: tuple[ExperimentResult, Named, MemoryCheckpoints],
) -> None:
    more = {"stability_changes": 1, "stability_epochs": 3, "seeds": (3,), "arms": ("standard", "cascade")}
    searched = run(SPEC.model_copy(update=more), Recorder(), MemoryCheckpoints()).report
    given = {"search_shares": (), "perturb_share": searched["search"]["arms"]["cascade"]["share"]}
    assert given["perturb_share"] != SPEC.perturb_share
    plain = run(SPEC.model_copy(update=more | given), Recorder(), MemoryCheckpoints()).report
    assert searched["stability"] == plain["stability"]
