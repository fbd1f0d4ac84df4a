"""A probe's figures against what training the same spec really takes, in one process."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from torch import Tensor

from tests.trained_jobs import TINY, log_of
from worker.training import probing
from worker.training.data.sequences import build_sequences
from worker.training.data.temporal import split_of
from worker.training.fitting.trainer import Trainer
from worker.training.models.sasrec import SASRec
from worker.training.probing import ProbeResult, probe
from worker.training.progress import DataError, MemoryCheckpoints, SilentProgress
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """A clock that only encoding moves, 0.1 ms a history, so that figures do not hang on a machine's load."""
    seconds = 0.0

    def moving(encoding: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def encode(model: SASRec, e_BLD: Tensor, *rest: object) -> Tensor:
            nonlocal seconds
            seconds += 1e-4 * len(e_BLD)
            return encoding(model, e_BLD, *rest)

        return encode

    for name in ("encode", "encode_last"):
        monkeypatch.setattr(SASRec, name, moving(getattr(SASRec, name)))
    monkeypatch.setattr(probing, "time", SimpleNamespace(monotonic=lambda: seconds))
    return lambda: seconds


def probed(spec: TrainSpec, users: int = 60) -> ProbeResult:
    return probe(spec, log_of(users), runtime=Runtime("cpu", 1), seconds=0.6)


def test_it_foretells_what_an_epoch_takes(now: Callable[[], float]) -> None:
    spec = TrainSpec(**{**TINY, "epochs": 20, "warmup_epochs": 0, "batch_size": 8, "patience": 20})
    found = probed(spec)
    split = split_of(build_sequences(log_of(60), min_rating=None, k_core=0), spec)
    trainer = Trainer(
        spec,
        split.train,
        validate=lambda _: {"ndcg@10": 0.0},
        progress=SilentProgress(),
        checkpoints=MemoryCheckpoints(),
    )
    began = now()
    trainer.train("standard", 0)
    assert found.arms["standard"].seconds_per_epoch == pytest.approx((now() - began) / 20, rel=0.1)
    assert found.targets == trainer.windows.n_targets
    assert found.arms["standard"].seconds_per_target == pytest.approx(
        found.arms["standard"].seconds_per_epoch / found.targets
    )


def test_a_search_makes_no_epoch_longer() -> None:
    plain, searched = (
        probed(TrainSpec(**{**TINY, "search_shares": shares})) for shares in ((), (0.1, 0.2, 0.4))
    )
    for arm, rate in plain.arms.items():
        assert searched.arms[arm].seconds_per_epoch == pytest.approx(rate.seconds_per_epoch, rel=0.05), arm


def test_every_kind_of_arm_is_timed_and_the_plain_one_for_the_warm_up() -> None:
    spec = TrainSpec(**{**TINY, "arms": ("cascade", "cascade_replacement")})
    found = probed(spec)
    assert list(found.arms) == ["standard", "cascade", "cascade_replacement"]
    assert all(rate.steps >= 1 for rate in found.arms.values())
    twice = 2 * found.arms["standard"].seconds_per_epoch  # the history level encodes a second time
    assert found.arms["cascade"].seconds_per_epoch == pytest.approx(twice, rel=0.1)
    assert found.users == 60
    assert found.seconds_per_user == pytest.approx(1e-4)
    assert found.peak_memory_bytes > 50 * 2**20
    assert found.environment["device"] == "cpu"


def test_steps_that_meet_no_adversary_cost_what_plain_ones_do() -> None:
    found = probed(TrainSpec(**{**TINY, "perturb_every": 1000}))
    plain, rare = (found.arms[name].seconds_per_epoch for name in ("standard", "cascade"))
    assert rare == pytest.approx(plain, rel=0.05)


def test_data_that_leave_nothing_to_train_are_said_so() -> None:
    with pytest.raises(DataError):
        probed(TrainSpec(**{**TINY, "k_core": 500}))
