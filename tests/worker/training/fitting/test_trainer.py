"""The trainer: what is learnt, reported and shared, and when it stops."""

from __future__ import annotations

import pytest
import torch

from tests.worker.training.fitting.runs import (
    ARMS,
    MODELS,
    SPLIT,
    Ear,
    assert_same_weights,
    improving,
    spec_of,
    trainer,
)
from tests.worker.training.synthetic import sequences_of
from worker.training.evaluation.baselines import Popularity
from worker.training.evaluation.evaluate import evaluate, model_scorer
from worker.training.fitting.trainer import Trainer
from worker.training.models.base import SequenceModel
from worker.training.models.build import build_model
from worker.training.progress import (
    Control,
    DataError,
    DivergedError,
    EpochMetrics,
    MemoryCheckpoints,
    Stopped,
)
from worker.training.settings import LossName, ModelName


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


def test_losses_of_the_adversary_are_means_over_the_steps_that_met_it() -> None:
    def losses(every: int) -> list[EpochMetrics]:
        ear = Ear()
        trainer(spec_of(perturb_every=every, epochs=3), ear=ear).train("cascade", 0)
        return [each for each in ear.epochs if each.arm == "cascade"]

    (often,), (seldom,) = losses(1), losses(2)
    for name in ("loss_match", "loss_history"):
        assert getattr(seldom, name) == pytest.approx(getattr(often, name), rel=0.1)


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
