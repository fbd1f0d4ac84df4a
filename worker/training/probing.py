"""What a run will cost here, measured on a few steps of it: a short look before a long job.

A probe prepares the real data, takes real steps of every kind of arm that the spec has, and ranks some
validation users. It keeps nothing of what it trains.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl
import torch

from worker.training.data.sequences import build_sequences
from worker.training.data.split import Split
from worker.training.data.temporal import split_of
from worker.training.evaluation.evaluate import evaluate, model_scorer
from worker.training.fitting.choice import CHOSEN_BY
from worker.training.fitting.trainer import Trainer
from worker.training.fitting.warm_start import InitialModel, WarmStart
from worker.training.models.base import SequenceModel
from worker.training.models.build import build_model
from worker.training.progress import Control, MemoryCheckpoints, SilentProgress, StepProgress, Stopped
from worker.training.runtime import Runtime, peak_memory_bytes
from worker.training.settings import Arm
from worker.training.spec import TrainSpec

LEAST_STEPS = 5
MOST_STEPS = 200
_AT_MOST = 5.0
"""Times its share of the seconds that an arm gets for the least steps."""
_FIRST_STEPS = 2
"""Steps that are not counted: they allocate what later ones find."""
_EPOCHS = 1_000_000
"""More than a probe gets to."""


@dataclass(frozen=True)
class ArmRate:
    """One arm's training: steps that were timed, seconds of an epoch and of a target at their mean."""

    steps: int
    seconds_per_epoch: float
    seconds_per_target: float


@dataclass(frozen=True)
class ProbeResult:
    """What was measured.

    prepare_seconds: making sequences, split and windows of the whole data set. targets: of an epoch. arms: by
    name; "standard" is always there, since the warm-up is trained so. seconds_per_user: of ranking one
    validation user in the full catalogue; users: how many there are. peak_memory_bytes: of the process so
    far, or with CUDA of the process and the device together.
    """

    prepare_seconds: float
    targets: int
    arms: dict[str, ArmRate]
    users: int
    seconds_per_user: float
    peak_memory_bytes: int
    environment: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As stored."""
        return asdict(self)


def probe(
    spec: TrainSpec,
    interactions: pl.DataFrame,
    *,
    runtime: Runtime,
    seconds: float,
    initial: InitialModel | None = None,
    beat: Callable[[], None] = lambda: None,
) -> ProbeResult:
    """Measure what training `spec` on a canonical frame costs on this machine.

    Args:
        spec: As a job would run it.
        interactions: The whole data set.
        runtime: Where the job would compute.
        seconds: For all timed steps and rankings together; preparing takes what it takes.
        initial: The model that `spec.init_from` names.
        beat: Called whenever it moves.

    Raises:
        TrainingError: The spec and the data leave nothing to train, or the training diverges.

    """
    device = runtime.prepare()
    began = time.monotonic()
    sequences = build_sequences(interactions, min_rating=spec.min_rating, k_core=spec.k_core)
    split = split_of(sequences, spec)
    beat()
    names: tuple[Arm, ...] = ("standard", *(arm for arm in spec.arms if arm != "standard"))
    timed = spec.model_copy(
        update={
            "arms": names,
            "seeds": spec.seeds[:1],
            "epochs": _EPOCHS,
            "warmup_epochs": 0,
            "min_epochs": _EPOCHS,
            "validate_every": _EPOCHS,
            "checkpoint_minutes": float(_EPOCHS),
            "perturb_every": 1,
            "search_shares": (),
        }
    )
    clock = _StepClock(beat, device)
    trainer = Trainer(
        timed,
        split.train,
        validate=lambda _: {CHOSEN_BY: 0.0},
        progress=clock,
        checkpoints=MemoryCheckpoints(),
        device=device,
        warm_start=WarmStart(initial, spec, sequences.item_ids) if initial is not None else None,
    )
    prepared = time.monotonic() - began
    share = seconds / (len(names) + 1)
    steps = {str(name): _step_of(trainer, timed, name, clock, share) for name in names}
    targets = trainer.windows.n_targets
    model = build_model(spec, sequences.n_items).to(device)
    return ProbeResult(
        prepare_seconds=prepared,
        targets=targets,
        arms=_rates(steps, targets, spec.perturb_every),
        users=len(split.users("validation")),
        seconds_per_user=_seconds_per_user(model, split, spec, device, budget=share, beat=beat),
        peak_memory_bytes=peak_memory_bytes(device),
        environment=runtime.environment(device),
    )


@dataclass(frozen=True)
class _Step:
    """Steps that were timed, seconds of one at their mean, and how many an epoch has."""

    counted: int
    seconds: float
    of_epoch: int


class _StepClock(SilentProgress):
    """Times steps, and ends the run when there are enough."""

    def __init__(self, beat: Callable[[], None], device: torch.device) -> None:
        self._beat, self._device = beat, device
        self.budget = 0.0
        self.times: list[float] = []
        self.total_steps = 0

    def begin(self, budget: float) -> None:
        """Time another arm."""
        self.budget, self.times = budget, []

    def step(self, at: StepProgress) -> Control:
        """Note the time."""
        self._beat()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # without it, the one that is current, which no run sets
        self.times.append(time.monotonic())
        self.total_steps = at.total_steps
        taken = len(self.times) - _FIRST_STEPS
        spent = self.times[-1] - self.times[0]
        enough = taken >= MOST_STEPS or (taken >= LEAST_STEPS and spent >= self.budget)
        return (
            Control.STOP if enough or (taken >= 1 and spent >= _AT_MOST * self.budget) else Control.CONTINUE
        )


def _step_of(trainer: Trainer, spec: TrainSpec, arm: Arm, clock: _StepClock, budget: float) -> _Step:
    clock.begin(budget)
    try:
        trainer.train(arm, spec.seeds[0])
    except Stopped:
        counted = clock.times[_FIRST_STEPS - 1 :]
        steps = len(counted) - 1
        of_epoch = clock.total_steps // (len(spec.arms) * spec.epochs)
        return _Step(steps, (counted[-1] - counted[0]) / steps, of_epoch)
    raise RuntimeError("the probe's training ended before it was told to")


def _rates(steps: dict[str, _Step], targets: int, perturb_every: int) -> dict[str, ArmRate]:
    """Only each `perturb_every`-th step of an arm meets its adversary; the others are standard."""
    standard = steps["standard"].seconds
    rates = {}
    for arm, step in steps.items():
        epoch = step.of_epoch * (standard + (step.seconds - standard) / perturb_every)
        rates[arm] = ArmRate(step.counted, epoch, epoch / targets)
    return rates


class _EnoughRanked(Exception):  # noqa: N818 - not an error
    """The ranking has taken its share of the time."""


def _seconds_per_user(
    model: SequenceModel,
    split: Split,
    spec: TrainSpec,
    device: torch.device,
    *,
    budget: float,
    beat: Callable[[], None],
) -> float:
    users = len(split.users("validation"))
    if not users:
        return 0.0
    began, done = time.monotonic(), 0.0

    def tick(share: float) -> None:
        nonlocal done
        beat()
        done = share
        if time.monotonic() - began >= budget:
            raise _EnoughRanked

    try:
        with torch.no_grad():
            scorer = model_scorer(model.eval(), spec.max_length, device)
            evaluate(scorer, split, "validation", exclude_seen=spec.exclude_seen, lists=False, tick=tick)
    except _EnoughRanked:
        pass  # what was ranked by now says enough
    return (time.monotonic() - began) / (done * users)
