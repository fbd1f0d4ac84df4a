"""The trainer: what is learnt, chosen, reported and shared, and when it stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.worker.training.synthetic import markov_sequences, sequences_of
from worker.training.data.split import leave_one_out
from worker.training.evaluation.baselines import Popularity
from worker.training.evaluation.evaluate import evaluate, model_scorer
from worker.training.fitting.checkpoint import unpack, without_prefix
from worker.training.fitting.trainer import Outcome, Trainer
from worker.training.models.base import SequenceModel
from worker.training.models.build import build_model
from worker.training.progress import (
    CheckpointStore,
    Control,
    DataError,
    DivergedError,
    EpochMetrics,
    MemoryCheckpoints,
    SilentProgress,
    StepProgress,
    Stopped,
)
from worker.training.seeding import generator_for
from worker.training.spec import Arm, LossName, ModelName, TrainSpec

SPLIT = leave_one_out(markov_sequences(80))
MODELS: tuple[ModelName, ...] = ("sasrec", "gru4rec")
ARMS: tuple[Arm, ...] = ("standard", "adversarial", "cascade", "cascade_replacement")


def spec_of(**settings: Any) -> TrainSpec:
    base = {
        "arms": ARMS,
        "hidden_size": 16,
        "max_length": 10,
        "batch_size": 16,
        "epochs": 4,
        "warmup_epochs": 2,
    }
    return TrainSpec.model_validate({**base, **settings})


class Ear(SilentProgress):
    """Hears everything, and gives the answers it was told to give, by step of the whole job."""

    def __init__(self, answers: dict[int, Control] | None = None) -> None:
        self.answers = answers or {}
        self.steps: list[StepProgress] = []
        self.epochs: list[EpochMetrics] = []
        self.events: list[str] = []

    def step(self, at: StepProgress) -> Control:
        self.steps.append(at)
        return self.answers.get(len(self.steps), Control.CONTINUE)

    def epoch(self, metrics: EpochMetrics) -> None:
        self.epochs.append(metrics)

    def event(self, type: str, message: str, data: dict[str, Any] | None = None) -> None:
        assert message
        self.events.append(type)


def improving() -> Callable[[SequenceModel], dict[str, float]]:
    """A validation that is better each time, so that the last epoch is chosen."""
    calls: list[int] = []

    def validate(model: SequenceModel) -> dict[str, float]:
        assert not model.training
        calls.append(1)
        return {"ndcg@10": len(calls) / 1e6}

    return validate


def scripted(values: list[float]) -> Callable[[SequenceModel], dict[str, float]]:
    remaining = iter(values)
    return lambda model: {"ndcg@10": next(remaining), "hr@10": 0.5}


def trainer(
    spec: TrainSpec,
    *,
    ear: Ear | None = None,
    checkpoints: CheckpointStore | None = None,
    validate: Callable[[SequenceModel], dict[str, float]] | None = None,
) -> Trainer:
    return Trainer(
        spec,
        SPLIT.train,
        validate=validate or improving(),
        progress=ear or Ear(),
        checkpoints=checkpoints or MemoryCheckpoints(),
    )


def assert_same_weights(a: Outcome, b: Outcome) -> None:
    assert a.weights.keys() == b.weights.keys()
    assert all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights)


@pytest.mark.parametrize("model", MODELS)
def test_every_arm_of_every_model_learns_the_chain(model: ModelName) -> None:
    spec = spec_of(
        model=model,
        epochs=20,
        warmup_epochs=5,
        hidden_size=32,
        learning_rate=1e-2,
        dropout=0.2,
        validate_every=5,
    )

    def validate(model: SequenceModel) -> dict[str, float]:
        return evaluate(
            model_scorer(model, spec.max_length), SPLIT, "validation", exclude_seen=False, lists=False
        ).metrics

    popularity = evaluate(Popularity(SPLIT), SPLIT, "test", exclude_seen=False, lists=False).metrics[
        "ndcg@10"
    ]
    ear = Ear()
    shared = trainer(spec, ear=ear, validate=validate)
    for arm in ARMS:
        outcome = shared.train(arm, 0)
        network = build_model(spec, SPLIT.n_items)
        network.load_state_dict(outcome.weights)
        scorer = model_scorer(network, spec.max_length)
        test = evaluate(scorer, SPLIT, "test", exclude_seen=False, lists=False).metrics["ndcg@10"]
        assert test > 2 * popularity
        losses = [metrics.loss for metrics in ear.epochs if metrics.arm == arm]
        assert losses[-1] < 0.6 * ear.epochs[0].loss
        validated = {m.epoch: m.validation for m in ear.epochs if m.arm == arm and m.validation}
        assert outcome.validation == validated[outcome.best_epoch]
        assert outcome.validation["ndcg@10"] == max(v["ndcg@10"] for v in validated.values())


@pytest.mark.parametrize("loss", ["sampled_softmax", "gbce", "softmax"])
def test_every_loss_learns_the_chain_in_a_guided_arm(loss: LossName) -> None:
    # A full calibration learns from positives slowly, which would take this test longer.
    settings = {"loss": loss, "negatives": 8, "gbce_t": 0.2, "dropout": 0.2}
    spec = spec_of(**settings, epochs=30, learning_rate=1e-2, validate_every=30)
    ear = Ear()
    outcome = trainer(spec, ear=ear).train("cascade_replacement", 0)
    network = build_model(spec, SPLIT.n_items)
    network.load_state_dict(outcome.weights)
    scorer = model_scorer(network, spec.max_length)
    measured, popularity = (
        evaluate(one, SPLIT, "test", exclude_seen=False, lists=False).metrics["ndcg@10"]
        for one in (scorer, Popularity(SPLIT))
    )
    assert measured > 2 * popularity
    assert ear.epochs[-1].loss < 0.7 * ear.epochs[0].loss
    assert ear.epochs[-1].loss_match is not None


def test_arms_report_the_losses_they_have() -> None:
    ear = Ear()
    shared = trainer(spec_of(), ear=ear)
    for arm in ARMS:
        shared.train(arm, 0)
    seen = {
        metrics.arm: (
            metrics.loss_match is not None,
            metrics.loss_history is not None,
            bool(metrics.validation),
        )
        for metrics in ear.epochs
    }
    assert seen == {
        "warmup": (False, False, False),
        "standard": (False, False, True),
        "adversarial": (True, True, True),
        "cascade": (True, True, True),
        "cascade_replacement": (True, True, True),
    }
    assert [(metrics.arm, metrics.epoch) for metrics in ear.epochs[:4]] == [
        ("warmup", 1),
        ("warmup", 2),
        ("standard", 3),
        ("standard", 4),
    ]
    assert all(metrics.seconds > 0 for metrics in ear.epochs)


def test_arms_share_one_warm_up_and_fork_from_it() -> None:
    """Standard training through the fork is standard training without one."""
    ear = Ear()
    shared = trainer(spec_of(), ear=ear)
    outcomes = {arm: shared.train(arm, 0) for arm in ARMS}
    assert sum(metrics.arm == "warmup" for metrics in ear.epochs) == 2
    alone = trainer(spec_of(warmup_epochs=0)).train("standard", 0)
    assert_same_weights(outcomes["standard"], alone)
    assert not torch.equal(
        outcomes["standard"].weights["item_embedding.weight"],
        outcomes["cascade"].weights["item_embedding.weight"],
    )
    assert not torch.equal(
        outcomes["adversarial"].weights["item_embedding.weight"],
        outcomes["cascade"].weights["item_embedding.weight"],
    )


def test_replacing_nothing_is_standard_training_bit_for_bit() -> None:
    shared = trainer(spec_of(replace_share=0.0, epsilon_match=0.0))
    assert_same_weights(shared.train("cascade_replacement", 0), shared.train("standard", 0))


def test_what_replaces_and_how_much_makes_a_difference() -> None:
    specs = [{}, {"replace_by": "popularity"}, {"replace_share": 0.3}, {"gamma": 0.0}, {"epsilon_match": 0.0}]
    outcomes = [trainer(spec_of(**spec)).train("cascade_replacement", 0) for spec in specs]
    tables = [outcome.weights["item_embedding.weight"] for outcome in outcomes]
    assert not any(torch.equal(tables[0], other) for other in tables[1:])


@pytest.mark.parametrize("towards", ["gradient", "items"])
def test_without_exponent_the_cascade_arm_is_the_generic_one_bit_for_bit(towards: str) -> None:
    shared = trainer(spec_of(gamma=0.0, perturb_towards=towards))
    assert_same_weights(shared.train("cascade", 0), shared.train("adversarial", 0))


@pytest.mark.parametrize(
    "off",
    [
        {"epsilon_match": 0, "epsilon_history": 0, "perturb_towards": "items"},
        {"lambda_match": 0, "lambda_history": 0},
    ],
)
@pytest.mark.parametrize("model", MODELS)
def test_an_arm_with_both_levels_off_is_standard_training_bit_for_bit(
    model: ModelName, off: dict[str, Any]
) -> None:
    shared = trainer(spec_of(model=model, **off))
    assert_same_weights(shared.train("cascade", 0), shared.train("standard", 0))


def test_steps_towards_items_draw_candidates_once_the_warmup_is_over_and_nothing_else() -> None:
    def generators(**settings: Any) -> dict[str, torch.Tensor]:
        store, ear = MemoryCheckpoints(), Ear()
        ear.answers[13] = Control.SAVE_AND_STOP
        with pytest.raises(Stopped):
            trainer(spec_of(**settings), ear=ear, checkpoints=store).train("cascade", 0)
        tensors, _ = unpack(store.load("progress", 0, "cascade")[0][1])
        return without_prefix("generator", tensors)

    plain, items = generators(), generators(perturb_towards="items")
    assert torch.equal(plain["replacements"], generator_for(0, "replacements").get_state())
    assert [name for name in plain if not torch.equal(plain[name], items[name])] == ["replacements"]


def test_what_the_history_is_moved_towards_makes_a_difference() -> None:
    specs = [{}, {"perturb_towards": "items"}, {"perturb_towards": "items", "replace_candidates": 2}]
    tables = [
        trainer(spec_of(**spec)).train("adversarial", 0).weights["item_embedding.weight"] for spec in specs
    ]
    assert not any(torch.equal(tables[0], other) for other in tables[1:])
    assert not torch.equal(tables[1], tables[2])


def test_an_adversary_whose_turn_never_comes_leaves_standard_training_bit_for_bit() -> None:
    ear = Ear()
    shared = trainer(spec_of(perturb_every=1000), ear=ear)
    for arm in ("cascade", "cascade_replacement"):
        assert_same_weights(shared.train(arm, 0), shared.train("standard", 0))
    assert all(each.loss_match is None and each.loss_history is None for each in ear.epochs)


def test_losses_of_the_adversary_are_means_over_the_steps_that_met_it() -> None:
    def losses(every: int) -> list[EpochMetrics]:
        ear = Ear()
        trainer(spec_of(perturb_every=every, epochs=3), ear=ear).train("cascade", 0)
        return [each for each in ear.epochs if each.arm == "cascade"]

    (often,), (seldom,) = losses(1), losses(2)
    for name in ("loss_match", "loss_history"):
        assert getattr(seldom, name) == pytest.approx(getattr(often, name), rel=0.1)


def test_the_seed_decides_everything() -> None:
    spec = spec_of(seeds=[0, 1])
    first, again = trainer(spec).train("cascade", 0), trainer(spec).train("cascade", 0)
    assert_same_weights(first, again)
    other = trainer(spec).train("cascade", 1)
    assert not torch.equal(first.weights["final_norm.bias"], other.weights["final_norm.bias"])


def test_the_best_epoch_is_chosen_and_patience_ends_the_arm() -> None:
    # Epochs 3, 4, 5, … after a warm-up of 2; patience is not counted up to epoch 4.
    spec = spec_of(epochs=20, min_epochs=4, patience=2)
    ear = Ear()
    outcome = trainer(spec, ear=ear, validate=scripted([0.5, 0.1, 0.6, 0.6, 0.5, 0.9])).train("standard", 0)
    assert (outcome.best_epoch, outcome.epochs, outcome.stop_reason) == (5, 7, "patience")
    assert outcome.validation == {"ndcg@10": 0.6, "hr@10": 0.5}
    assert "early_stopped" in ear.events
    shorter = trainer(spec_of(epochs=5), validate=scripted([0.5, 0.1, 0.6])).train("standard", 0)
    assert shorter.stop_reason == "epochs"
    assert outcome.weights.keys() == shorter.weights.keys()


def test_the_chosen_weights_are_those_of_the_best_epoch() -> None:
    best_first = trainer(spec_of(epochs=6), validate=scripted([0.1, 0.9, 0.2, 0.3])).train("cascade", 0)
    assert best_first.best_epoch == 4
    assert_same_weights(best_first, trainer(spec_of(epochs=4)).train("cascade", 0))


def test_patience_waits_for_min_epochs() -> None:
    spec = spec_of(epochs=12, min_epochs=9, patience=2)
    outcome = trainer(spec, validate=scripted([0.9] + [0.1] * 20)).train("standard", 0)
    assert (outcome.best_epoch, outcome.epochs) == (3, 11)


def test_validation_keeps_its_interval_but_never_misses_the_last_epoch() -> None:
    ear = Ear()
    trainer(spec_of(epochs=9, validate_every=4), ear=ear).train("standard", 0)
    assert [metrics.epoch for metrics in ear.epochs if metrics.validation] == [4, 8, 9]


def test_steps_are_counted_over_the_whole_job() -> None:
    ear = Ear()
    spec = spec_of(seeds=[0, 5])
    shared = trainer(spec, ear=ear)
    for seed in spec.seeds:
        for arm in spec.arms:
            shared.train(arm, seed)
    total = ear.steps[0].total_steps
    assert [at.step for at in ear.steps] == list(range(1, total + 1))
    assert [at.fraction for at in ear.steps] == [step / total for step in range(1, total + 1)]
    assert all(at.targets_per_second > 0 for at in ear.steps)
    assert {(at.arm, at.seed) for at in ear.steps} == {
        (arm, seed) for arm in ("warmup", *ARMS) for seed in (0, 5)
    }


def test_a_finished_arm_is_read_back_and_not_trained_again() -> None:
    checkpoints = MemoryCheckpoints()
    first = trainer(spec_of(), checkpoints=checkpoints).train("cascade", 0)
    ear = Ear()
    second = trainer(spec_of(), checkpoints=checkpoints, ear=ear).train("cascade", 0)
    assert not ear.steps
    assert_same_weights(first, second)
    assert (second.validation, second.best_epoch, second.epochs, second.stop_reason, second.seconds) == (
        first.validation,
        first.best_epoch,
        first.epochs,
        first.stop_reason,
        first.seconds,
    )
    assert not checkpoints.load("progress", 0, "cascade")
    assert not checkpoints.load("progress", 0, "warmup")


@pytest.mark.parametrize("model", MODELS)
def test_half_precision_trains(model: ModelName) -> None:
    ear = Ear()
    trainer(spec_of(model=model, precision="bfloat16"), ear=ear).train("cascade", 0)
    exact = Ear()
    trainer(spec_of(model=model), ear=exact).train("cascade", 0)
    assert ear.epochs[-1].loss == pytest.approx(exact.epochs[-1].loss, rel=0.02)
    assert ear.epochs[-1].loss != exact.epochs[-1].loss


def test_a_stop_is_obeyed_at_once_and_saves_nothing() -> None:
    checkpoints = MemoryCheckpoints()
    ear = Ear({3: Control.STOP})
    with pytest.raises(Stopped) as caught:
        trainer(spec_of(), ear=ear, checkpoints=checkpoints).train("standard", 0)
    assert not caught.value.saved
    assert len(ear.steps) == 3
    assert not checkpoints.load("progress", 0, "warmup")


def test_a_run_that_diverges_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(learning_rate=1.0, epsilon_history=10.0, epochs=4)

    def poison(model: SequenceModel) -> dict[str, float]:
        with torch.no_grad():
            model.item_embedding.weight[1:] = float("nan")
        return {"ndcg@10": 0.5}

    with pytest.raises(DivergedError, match=r"\(epoch 4, arm cascade, seed 0\): ranking loss is nan"):
        trainer(spec, validate=poison).train("cascade", 0)


def test_nothing_to_train_on_is_a_clear_error() -> None:
    with pytest.raises(DataError, match="two interactions"):
        Trainer(
            spec_of(),
            sequences_of([[1], [2], [1]]),
            validate=improving(),
            progress=Ear(),
            checkpoints=MemoryCheckpoints(),
        )
