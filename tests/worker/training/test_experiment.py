"""A whole job on a small Markov log: learns, reports, packs, stops and goes on to the same bits."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from worker.training.experiment import ExperimentResult, run_experiment
from worker.training.portable import load_model
from worker.training.progress import (
    CheckpointKey,
    CheckpointUnreadableError,
    Control,
    DataError,
    EpochMetrics,
    MemoryCheckpoints,
    SilentProgress,
    StepProgress,
    Stopped,
)
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec

SMALL: dict[str, Any] = {
    "max_length": 10,
    "hidden_size": 16,
    "blocks": 1,
    "dropout": 0.1,
    "batch_size": 32,
    "learning_rate": 5e-3,
    "epochs": 24,
    "warmup_epochs": 6,
    "min_epochs": 10,
    "patience": 5,
    "attack_positions": ["end"],
    "attack_counts": [1],
    "attack_replacements": ["uniform"],
    "attack_repeats": 1,
}
ALL_ATTACKS = {
    field: TrainSpec.model_fields[field].default for field in ("attack_positions", "attack_replacements")
}


def markov_log(users: int = 200, items: int = 40, seed: int = 0) -> pl.DataFrame:
    """Each item is followed by one of two fixed successors nine times out of ten."""
    rng = np.random.default_rng(seed)
    successors = np.stack([rng.permutation(items), rng.permutation(items)])
    rows = []
    for user in range(users):
        item = int(rng.integers(items))
        for _ in range(int(rng.integers(5, 16))):
            rows.append((f"u{user}", f"i{item}"))
            item = int(rng.integers(items)) if rng.random() < 0.1 else int(successors[rng.integers(2), item])
    return pl.DataFrame(rows, schema=["user", "item"], orient="row")


def run(spec: TrainSpec, progress: SilentProgress, checkpoints: MemoryCheckpoints) -> ExperimentResult:
    return run_experiment(
        spec, markov_log(), progress=progress, checkpoints=checkpoints, runtime=Runtime("cpu", 1)
    )


def without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_seconds(one) for key, one in value.items() if key != "seconds"}
    return [without_seconds(one) for one in value] if isinstance(value, list) else value


class Recorder(SilentProgress):
    """Keeps what it hears; says `control` at the nth step."""

    def __init__(self, stop_at: int | None = None, control: Control = Control.CONTINUE) -> None:
        self.phases: list[tuple[str, str | None]] = []
        self.epochs: dict[tuple[str, int], tuple[float, float | None]] = {}
        self.fractions: list[float] = []
        self.events: list[tuple[str, str]] = []
        self._stop_at = stop_at
        self._control = control

    def phase(self, phase: str, *, arm: str | None = None, seed: int | None = None) -> None:
        self.phases.append((phase, arm))

    def step(self, at: StepProgress) -> Control:
        self.fractions.append(at.fraction)
        return self._control if self._stop_at and len(self.fractions) >= self._stop_at else Control.CONTINUE

    def epoch(self, metrics: EpochMetrics) -> None:
        ndcg = metrics.validation["ndcg@10"] if metrics.validation else None
        self.epochs[metrics.arm, metrics.epoch] = (metrics.loss, ndcg)

    def event(self, type: str, message: str, data: dict[str, Any] | None = None) -> None:
        self.events.append((type, message))


@pytest.mark.parametrize("model", ["sasrec", "gru4rec"])
def test_all_arms_learn_are_reported_and_packed(model: str) -> None:
    spec = TrainSpec.model_validate({**SMALL, **ALL_ATTACKS, "model": model})
    heard = Recorder()
    checkpoints = MemoryCheckpoints()
    result = run(spec, heard, checkpoints)
    popularity = result.report["baselines"]["popularity"]["test"]["ndcg@10"]
    for arm in spec.arms:
        body = result.report["arms"][arm]
        assert body["test"]["ndcg@10"] > 1.5 * popularity, arm
        (attack,) = [
            row
            for row in body["attacks"]
            if (row["position"], row["count"], row["replacement"]) == ("end", 1, "uniform")
        ]
        assert 0 <= attack["overlap"] < 1
        losses = [heard.epochs[arm, epoch][0] for epoch in (7, body["epochs"])]
        assert losses[1] < losses[0], arm
    assert heard.fractions == sorted(heard.fractions)
    assert heard.phases[0][0] == "preparing"
    assert heard.phases[-1][0] == "packaging"
    assert "popularity" in result.report_markdown
    assert checkpoints.load("warmup", 0, "warmup") == []
    json.dumps(result.report, allow_nan=False)
    for trained in result.models:
        loaded = load_model(trained.files)
        assert len(loaded.recommend(["i1", "i2"], k=5)) == 5


RESUMED = TrainSpec.model_validate(
    {**SMALL, "epochs": 8, "warmup_epochs": 3, "arms": ["standard", "cascade"], "seeds": [3, 4]}
)


@pytest.fixture(scope="module")
def undisturbed() -> tuple[ExperimentResult, Recorder]:
    ear = Recorder()
    return run(RESUMED, ear, MemoryCheckpoints()), ear


@pytest.mark.parametrize("stop_at", [7, 60, 150])
def test_stopped_and_taken_up_again_ends_in_the_same_bits(
    stop_at: int, undisturbed: tuple[ExperimentResult, Recorder]
) -> None:
    whole, whole_ear = undisturbed
    checkpoints = MemoryCheckpoints()
    first = Recorder(stop_at, Control.SAVE_AND_STOP)
    with pytest.raises(Stopped) as stopped:
        run(RESUMED, first, checkpoints)
    assert stopped.value.saved
    second = Recorder()
    resumed = run(RESUMED, second, checkpoints)
    assert without_seconds(resumed.report) == without_seconds(whole.report)
    assert [model.files["weights.safetensors"] for model in resumed.models] == [
        model.files["weights.safetensors"] for model in whole.models
    ]
    assert {**first.epochs, **second.epochs} == whole_ear.epochs


def test_a_cancel_is_obeyed_during_evaluation_too() -> None:
    spec = TrainSpec.model_validate({**SMALL, "epochs": 1, "warmup_epochs": 0, "arms": ["standard"]})

    class CancelInEvaluation(Recorder):
        def step(self, at: StepProgress) -> Control:
            evaluating = bool(self.phases) and self.phases[-1][0] == "evaluating"
            return Control.STOP if evaluating else Control.CONTINUE

    with pytest.raises(Stopped):
        run(spec, CancelInEvaluation(), MemoryCheckpoints())


class Store(MemoryCheckpoints):
    """Counts what it is asked to keep."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: list[CheckpointKey] = []

    def save(self, key: CheckpointKey, payload: bytes) -> None:
        self.saved.append(key)
        super().save(key, payload)


def test_finished_arms_are_neither_trained_nor_measured_again(
    undisturbed: tuple[ExperimentResult, Recorder],
) -> None:
    store = Store()
    run(RESUMED, Recorder(), store)
    saved = len(store.saved)
    again = Recorder()
    result = run(RESUMED, again, store)
    assert again.phases == [("preparing", None), ("attacking", "baselines"), ("packaging", None)]
    assert again.fractions == sorted(again.fractions)
    assert again.fractions[0] == 1.0
    assert len(store.saved) == saved
    assert without_seconds(result.report) == without_seconds(undisturbed[0].report)
    assert [model.files["weights.safetensors"] for model in result.models] == [
        model.files["weights.safetensors"] for model in undisturbed[0].models
    ]


def test_figures_of_other_test_targets_are_not_taken_over() -> None:
    """The same training sequences, but another last item of each user."""
    spec = TrainSpec.model_validate({**SMALL, "epochs": 1, "warmup_epochs": 0, "arms": ["standard"]})
    # Items are numbered by their first appearance: here all appear before any last item.
    everything = pl.DataFrame({"user": ["first"] * 40, "item": [f"i{item}" for item in range(40)]})
    log = pl.concat([everything, markov_log()])
    last = pl.int_range(pl.len()).over("user") == pl.len().over("user") - 1
    other = log.with_columns(item=pl.when(last).then(pl.lit("i0")).otherwise(pl.col("item")))
    checkpoints = MemoryCheckpoints()
    reports = [
        run_experiment(
            spec, frame, progress=SilentProgress(), checkpoints=store, runtime=Runtime("cpu", 1)
        ).report["arms"]["standard"]["test"]
        for frame, store in ((log, checkpoints), (other, checkpoints), (other, MemoryCheckpoints()))
    ]
    assert reports[1] == reports[2]
    assert reports[1] != reports[0]


def test_a_model_that_other_validation_targets_chose_is_not_taken_over() -> None:
    """The same training sequences, but each user's last two items the other way round."""
    spec = TrainSpec.model_validate({**SMALL, "epochs": 2, "warmup_epochs": 1, "arms": ["standard"]})
    items = [f"i{item}" for item in (*range(40), 0, 1)]
    everything = pl.DataFrame({"user": ["first"] * len(items), "item": items})
    log = pl.concat([everything, markov_log()])
    from_end = pl.len().over("user") - 1 - pl.int_range(pl.len()).over("user")
    turned = pl.when(from_end == 0).then(pl.col("item").shift(1)).otherwise(pl.col("item").shift(-1))
    other = log.with_columns(item=pl.when(from_end < 2).then(turned).otherwise(pl.col("item")))
    checkpoints = MemoryCheckpoints()

    def run_on(frame: pl.DataFrame) -> None:
        run_experiment(
            spec, frame, progress=SilentProgress(), checkpoints=checkpoints, runtime=Runtime("cpu", 1)
        )

    run_on(log)
    run_on(log)
    with pytest.raises(CheckpointUnreadableError, match="another run or machine: validation was"):
        run_on(other)


def test_an_arm_whose_turn_never_comes_is_warned_of() -> None:
    short = {**SMALL, "epochs": 2, "warmup_epochs": 1, "perturb_every": 900, "attack_positions": []}
    heard = Recorder()
    spec = TrainSpec.model_validate({**short, "arms": ["standard", "cascade"]})
    report = run(spec, heard, MemoryCheckpoints()).report
    named = [(row["code"], row["arm"]) for row in report["warnings"] if row["code"] == "never_perturbed"]
    assert named == [("never_perturbed", "cascade")]
    assert "Cascade, seed 0 never met its adversary" in report["verdict"]
    assert "never_perturbed" in [kind for kind, _ in heard.events]


def test_users_who_have_seen_everything_are_told_of() -> None:
    rows = [("all", f"i{item}") for item in (0, 1, 2, 3, 4, 0, 1)]
    rows += [(f"u{user}", f"i{(user + at) % 5}") for user in range(20) for at in range(4)]
    heard = Recorder()
    run_experiment(
        TrainSpec.model_validate({**SMALL, "epochs": 1, "warmup_epochs": 0, "arms": ["standard"]}),
        pl.DataFrame(rows, schema=["user", "item"], orient="row"),
        progress=heard,
        checkpoints=MemoryCheckpoints(),
        runtime=Runtime("cpu", 1),
    )
    assert [message for kind, message in heard.events if kind == "saturated_users"] == [
        "1 user has every item of the catalogue in training: their negatives are drawn from all items, "
        "seen or not"
    ]


def timed_log() -> pl.DataFrame:
    """The Markov log, every user's interactions spread over one stretch of time that all users share."""
    log = markov_log()
    seconds = pl.Series("seconds", np.random.default_rng(1).integers(0, 10**6, len(log)))
    in_order = log.with_columns(seconds).select("user", "item", pl.col("seconds").sort().over("user"))
    moments = pl.from_epoch("seconds", time_unit="s").dt.replace_time_zone("UTC")
    timed = in_order.with_columns(timestamp=moments).drop("seconds")
    return timed.sort("timestamp", maintain_order=True)


def test_both_splits_of_one_log() -> None:
    """Same log, same settings: what is trained on, the figures' users and the protocol differ."""
    short = {**SMALL, "epochs": 4, "warmup_epochs": 1, "arms": ["standard", "cascade"]}
    short |= {"attack_positions": ["end", "highest_cascade"]}
    log, reports = timed_log(), {}
    for split in ("leave_one_out", "temporal"):
        spec = TrainSpec.model_validate({**short, "split": split, "test_share": 0.2})
        result = run_experiment(
            spec,
            log,
            progress=SilentProgress(),
            checkpoints=MemoryCheckpoints(),
            runtime=Runtime("cpu", 1),
        )
        reports[split] = result.report
        page, facts = result.report_markdown, result.report["dataset"]["split"]
        assert facts["name"] == result.report["protocol"]["split"] == split
        assert (
            f"| users evaluated on test, without a history before it | {facts['test_users']:,}" in page
            or (split == "leave_one_out")
        )
        assert len(result.report["comparisons"]) >= 1
        assert load_model(result.models[0].files).recommend(["i1"], k=3)
    once, moment = (report["dataset"]["split"] for report in reports.values())
    assert 0 < once["leakage_share"] < 1
    assert moment["leakage_share"] == 0
    before = log.filter(pl.col("timestamp") < pl.lit(moment["validation_from"]).str.to_datetime("%+"))
    assert moment["train_interactions"] == len(before)
    assert reports["leave_one_out"]["protocol_hash"] != reports["temporal"]["protocol_hash"]
    assert "validation_share" not in reports["leave_one_out"]["protocol"]


def test_a_temporal_split_without_times_is_refused() -> None:
    with pytest.raises(DataError, match="needs the time"):
        run(TrainSpec(split="temporal"), SilentProgress(), MemoryCheckpoints())
