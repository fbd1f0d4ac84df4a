"""Interrupted and resumed equals uninterrupted, bit for bit, wherever the interruption falls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.worker.training.synthetic import markov_sequences
from worker.training.data.split import LeaveOneOut, leave_one_out
from worker.training.evaluation.evaluate import evaluate, model_scorer
from worker.training.fitting.state import check_identity, identity_of
from worker.training.fitting.trainer import Outcome, Trainer
from worker.training.models.base import SequenceModel
from worker.training.progress import (
    CheckpointElsewhereError,
    CheckpointKey,
    CheckpointKind,
    CheckpointStore,
    CheckpointUnreadableError,
    Control,
    EpochMetrics,
    MemoryCheckpoints,
    SilentProgress,
    StepProgress,
    Stopped,
)
from worker.training.settings import Arm, ModelName
from worker.training.spec import TrainSpec

SPLIT = leave_one_out(markov_sequences(50))
MODELS: tuple[ModelName, ...] = ("sasrec", "gru4rec")


class Killed(Exception):  # noqa: N818 - no error: it stands for kill -9
    """The process is gone: nothing is saved, nothing is said."""


class Interruptor(SilentProgress):
    def __init__(
        self, at_step: int | None = None, how: Control | type[Killed] = Control.SAVE_AND_STOP
    ) -> None:
        self.at_step, self.how = at_step, how
        self.heard = 0
        self.epochs: list[EpochMetrics] = []
        self.events: list[str] = []

    def step(self, at: StepProgress) -> Control:
        self.heard += 1
        if self.heard != self.at_step:
            return Control.CONTINUE
        if isinstance(self.how, Control):
            return self.how
        raise self.how

    def epoch(self, metrics: EpochMetrics) -> None:
        self.epochs.append(replace(metrics, seconds=0.0))

    def event(self, type: str, message: str, data: dict[str, Any] | None = None) -> None:
        self.events.append(type)


def spec_of(model: ModelName = "sasrec", **settings: Any) -> TrainSpec:
    base = {
        "model": model,
        "hidden_size": 8,
        "max_length": 8,
        "batch_size": 12,
        "epochs": 5,
        "warmup_epochs": 2,
        "clip_norm": 1.0,
        "weight_decay": 1e-3,
        "min_epochs": 0,
        "patience": 2,
        "learning_rate": 1e-2,
    }
    return TrainSpec.model_validate({**base, **settings})


def run(
    spec: TrainSpec,
    progress: Interruptor,
    checkpoints: CheckpointStore,
    split: LeaveOneOut = SPLIT,
    arm: Arm = "cascade",
) -> Outcome:
    def validate(model: SequenceModel) -> dict[str, float]:
        return evaluate(
            model_scorer(model, spec.max_length), split, "validation", exclude_seen=False, lists=False
        ).metrics

    trainer = Trainer(spec, split.train, validate=validate, progress=progress, checkpoints=checkpoints)
    return trainer.train(arm, 0)


def assert_identical(a: Outcome, b: Outcome) -> None:
    assert replace(a, weights={}, seconds=0.0) == replace(b, weights={}, seconds=0.0)
    assert a.weights.keys() == b.weights.keys()
    assert all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights)


@pytest.fixture(scope="module", params=MODELS)
def undisturbed(request: pytest.FixtureRequest) -> tuple[TrainSpec, Outcome, list[EpochMetrics], int]:
    torch.set_num_threads(1)
    spec, progress = spec_of(request.param), Interruptor()
    outcome = run(spec, progress, MemoryCheckpoints())
    return spec, outcome, progress.epochs, progress.heard


@pytest.mark.parametrize(
    "place", ["first step", "in warm-up", "end of warm-up", "in an epoch", "end of an epoch"]
)
def test_saved_and_stopped(
    place: str, undisturbed: tuple[TrainSpec, Outcome, list[EpochMetrics], int]
) -> None:
    spec, expected, epochs, steps = undisturbed
    per_epoch = steps // spec.epochs
    assert per_epoch >= 4
    at = {
        "first step": 1,
        "in warm-up": per_epoch + 2,
        "end of warm-up": 2 * per_epoch,
        "in an epoch": 3 * per_epoch + 3,
        "end of an epoch": 4 * per_epoch,
    }[place]
    checkpoints, first, second = MemoryCheckpoints(), Interruptor(at), Interruptor()
    with pytest.raises(Stopped) as caught:
        run(spec, first, checkpoints)
    assert caught.value.saved
    assert_identical(run(spec, second, checkpoints), expected)
    assert "resumed" in second.events
    assert first.heard + second.heard == steps
    assert first.epochs + second.epochs == epochs


OPTIONS: dict[str, dict[str, Any]] = {
    "ligr, AdamW, cosine decay": {
        "block": "ligr",
        "optimiser": "adamw",
        "learning_rate_warmup_epochs": 1,
        "learning_rate_decay": "cosine",
        "initialisation": "truncated_normal",
        "item_normalisation": "cosine",
        "temperature": 0.2,
        "loss": "sampled_softmax",
        "negatives": 5,
    },
    "pre-norm GRU4Rec, linear decay": {
        "model": "gru4rec",
        "block": "pre_norm",
        "learning_rate_warmup_epochs": 3,
        "learning_rate_decay": "linear",
        "initialisation": "xavier",
        "item_normalisation": "items",
    },
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_model_and_optimiser_go_on_where_they_were(name: str) -> None:
    spec = spec_of(**OPTIONS[name])
    expected = run(spec, Interruptor(), MemoryCheckpoints())
    plain = run(
        spec_of(**{**OPTIONS[name], "learning_rate_decay": "none"}), Interruptor(), MemoryCheckpoints()
    )
    assert any(not torch.equal(plain.weights[key], expected.weights[key]) for key in plain.weights)
    checkpoints = MemoryCheckpoints()
    for at in (3, 9):
        with pytest.raises(Stopped):
            run(spec, Interruptor(at), checkpoints)
    assert_identical(run(spec, Interruptor(), checkpoints), expected)


@pytest.mark.parametrize("replace_by", ["uniform", "gradient"])
def test_replaced_histories_go_on_where_they_were(replace_by: str) -> None:
    spec = spec_of(arms=["cascade_replacement"], replace_by=replace_by, replace_candidates=6)
    expected = run(spec, Interruptor(), MemoryCheckpoints(), arm="cascade_replacement")
    checkpoints = MemoryCheckpoints()
    with pytest.raises(Stopped):
        run(spec, Interruptor(17), checkpoints, arm="cascade_replacement")
    assert_identical(run(spec, Interruptor(), checkpoints, arm="cascade_replacement"), expected)


@pytest.mark.parametrize(
    "settings", [{"perturb_every": 3}, {"epsilon_ramp_epochs": 2}, {"perturb_towards": "gradient"}]
)
def test_what_the_adversary_does_goes_on_where_it_was(settings: dict[str, Any]) -> None:
    spec, plain = spec_of(**settings), run(spec_of(), Interruptor(), MemoryCheckpoints())
    expected = run(spec, Interruptor(), MemoryCheckpoints())
    name = "item_embedding.weight"
    assert not torch.equal(expected.weights[name], plain.weights[name])
    checkpoints = MemoryCheckpoints()
    for at in (12, 6):
        with pytest.raises(Stopped):
            run(spec, Interruptor(at), checkpoints)
    assert_identical(run(spec, Interruptor(), checkpoints), expected)


def test_stopped_at_every_step_in_turn() -> None:
    spec = spec_of(epochs=3, warmup_epochs=1)
    expected = run(spec, Interruptor(), MemoryCheckpoints())
    checkpoints = MemoryCheckpoints()
    stops = 0
    while True:
        try:
            outcome = run(spec, Interruptor(1), checkpoints)
            break
        except Stopped:
            stops += 1
    assert_identical(outcome, expected)
    assert stops >= 12


@pytest.mark.parametrize("epoch", [2, 4])
def test_killed_without_warning_goes_on_from_the_last_checkpoint(
    epoch: int, undisturbed: tuple[TrainSpec, Outcome, list[EpochMetrics], int]
) -> None:
    spec, _, _, steps = undisturbed
    spec = spec.model_copy(update={"checkpoint_minutes": 0.0})
    expected = run(spec, Interruptor(), MemoryCheckpoints())
    checkpoints = MemoryCheckpoints()
    per_epoch = steps // spec.epochs
    with pytest.raises(Killed):
        run(spec, Interruptor((epoch - 1) * per_epoch + 2, Killed), checkpoints)
    second = Interruptor()
    assert_identical(run(spec, second, checkpoints), expected)
    assert second.heard == steps - (epoch - 1) * per_epoch


def test_checkpoints_by_the_clock_fall_in_mid_epoch() -> None:
    spec = spec_of(checkpoint_minutes=1e-9)
    checkpoints = MemoryCheckpoints()
    with pytest.raises(Killed):
        run(spec, Interruptor(3, Killed), checkpoints)
    newest, older = checkpoints.load("progress", 0, "warmup")
    assert (newest[0].epoch, newest[0].step, older[0].step) == (0, 2, 1)
    expected = run(spec_of(checkpoint_minutes=1e-9), Interruptor(), MemoryCheckpoints())
    assert_identical(run(spec, Interruptor(), checkpoints), expected)


def test_an_early_stop_survives_an_interruption() -> None:
    spec = spec_of(epochs=30, patience=1, learning_rate=0.3)
    first = Interruptor()
    expected = run(spec, first, MemoryCheckpoints())
    assert expected.stop_reason == "patience"
    checkpoints = MemoryCheckpoints()
    with pytest.raises(Stopped):
        run(spec, Interruptor(first.heard), checkpoints)
    assert_identical(run(spec, Interruptor(), checkpoints), expected)


def interrupted(spec: TrainSpec, at: int = 2) -> MemoryCheckpoints:
    checkpoints = MemoryCheckpoints()
    with pytest.raises(Stopped):
        run(spec, Interruptor(at), checkpoints)
    return checkpoints


def test_another_thread_count_is_refused() -> None:
    checkpoints = interrupted(spec_of())
    torch.set_num_threads(2)
    with pytest.raises(CheckpointUnreadableError, match="threads was 1 and is 2") as caught:
        run(spec_of(), Interruptor(), checkpoints)
    assert "threads" in caught.value.hint


def test_another_build_of_torch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = interrupted(spec_of())
    monkeypatch.setattr(torch, "__version__", "9.9.9")
    with pytest.raises(CheckpointUnreadableError, match=r"torch was '.*' and is '9\.9\.9'"):
        run(spec_of(), Interruptor(), checkpoints)


def test_another_kind_of_cpu_is_refused_and_one_that_nobody_noted_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkpoints = interrupted(spec_of())
    mine = torch.backends.cpu.get_cpu_capability()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "OTHER")
    with pytest.raises(CheckpointElsewhereError, match=f"cpu was '{mine}' and is 'OTHER'"):
        run(spec_of(), Interruptor(), checkpoints)
    wanted = identity_of(spec_of(), markov_sequences(50, seed=1), torch.device("cpu"))
    check_identity({name: value for name, value in wanted.items() if name != "cpu"}, wanted)
    with pytest.raises(CheckpointUnreadableError):
        check_identity({}, wanted)


def test_another_spec_or_data_set_is_refused() -> None:
    checkpoints = interrupted(spec_of())
    with pytest.raises(CheckpointUnreadableError, match="spec was"):
        run(spec_of(learning_rate=0.02), Interruptor(), checkpoints)
    with pytest.raises(CheckpointUnreadableError, match="data was"):
        run(spec_of(), Interruptor(), checkpoints, leave_one_out(markov_sequences(50, seed=1)))


class Damaged:
    """A store some of whose payloads, the newest first, come back with a byte missing."""

    def __init__(self, inner: MemoryCheckpoints, count: int) -> None:
        self.inner, self.count = inner, count

    def save(self, key: CheckpointKey, payload: bytes) -> None:
        self.inner.save(key, payload)

    def load(self, kind: CheckpointKind, seed: int, arm: str) -> list[tuple[CheckpointKey, bytes]]:
        kept = self.inner.load(kind, seed, arm)
        if kind != "progress":
            return kept
        return [(key, body[:-1] if n < self.count else body) for n, (key, body) in enumerate(kept)]

    def discard(self, kind: CheckpointKind, seed: int, arm: str) -> None:
        self.inner.discard(kind, seed, arm)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it() -> None:
    spec = spec_of(checkpoint_minutes=1e-9)
    expected = run(spec, Interruptor(), MemoryCheckpoints())
    checkpoints = MemoryCheckpoints()
    with pytest.raises(Killed):
        run(spec, Interruptor(8, Killed), checkpoints)
    progress = Interruptor()
    assert_identical(run(spec, progress, Damaged(checkpoints, 1)), expected)
    assert progress.events.index("checkpoint_unreadable") < progress.events.index("resumed")


def test_when_every_checkpoint_is_damaged_the_error_says_so() -> None:
    spec = spec_of(checkpoint_minutes=1e-9)
    checkpoints = MemoryCheckpoints()
    with pytest.raises(Killed):
        run(spec, Interruptor(8, Killed), checkpoints)
    with pytest.raises(CheckpointUnreadableError, match="none of the 2 progress checkpoints of arm warmup"):
        run(spec, Interruptor(), Damaged(checkpoints, 2))
