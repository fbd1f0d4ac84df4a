"""What the training library tells the world, and what it asks of it: two small protocols.

The library calls them; a notebook, the command line (`worker/cli.py`) and the service (`worker/sinks.py`)
each plug in their own. Nothing here knows a database.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Protocol

Phase = Literal["preparing", "training", "evaluating", "attacking", "stability", "packaging"]
CheckpointKind = Literal["warmup", "progress", "best"]


class Control(Enum):
    """What the world wants of a running training, asked for at every step."""

    CONTINUE = "continue"
    STOP = "stop"
    """Leave as soon as possible; nothing more is wanted of this run (a cancel)."""
    SAVE_AND_STOP = "save_and_stop"
    """Write a checkpoint, then leave; the run will be taken up again (a worker that shuts down)."""
    FINISH = "finish"
    """Train no more: end with the best epochs so far, measure and pack them (the run's time is over)."""
    CONCLUDE = "conclude"
    """Train no more, and make no more attacks: report what was measured (time to measure is over too)."""


ENDS_TRAINING = frozenset({Control.FINISH, Control.CONCLUDE})


class Stopped(Exception):  # noqa: N818 - not an error: the run was told to stop
    """The run left because `Progress.step` asked it to; `saved` says whether a checkpoint was written."""

    def __init__(self, *, saved: bool) -> None:
        super().__init__("training was told to stop")
        self.saved = saved


class TrainingError(Exception):
    """A run that cannot go on. `code` is one of the job error codes of the API; `hint` says what to do."""

    code: str = "internal"
    hint: str = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or self.hint


class DivergedError(TrainingError):
    """A loss or gradient stopped being finite; raised before the optimiser took the step."""

    code = "diverged"
    hint = "Lower learning_rate, epsilon_history or epsilon_match, or set clip_norm to 1."


class CheckpointUnreadableError(TrainingError):
    """No stored checkpoint of the run could be read, or it belongs to another spec, build or data set."""

    code = "checkpoint_unreadable"


class CheckpointElsewhereError(CheckpointUnreadableError):
    """The checkpoint is of this run, but from another build of torch, number of threads or kind of device."""


class DataError(TrainingError):
    """The data set and the spec leave nothing to train on."""

    code = "dataset_changed"


class OutOfTimeError(TrainingError):
    """The run was told to finish before it had a single epoch to choose a model from."""

    code = "max_runtime_exceeded"
    hint = (
        "Raise max_runtime, lower validate_every, warmup_epochs or epsilon_ramp_epochs, or ask for fewer "
        "arms or seeds."
    )


class AttacksCutShort(Exception):  # noqa: N818 - not an error: the run was told to conclude
    """The time to measure is over while there are attacks still to be made."""


@dataclass(frozen=True)
class StepProgress:
    """Where a run is. Epochs count from 1 (0 = none finished); steps count batches over the whole job."""

    arm: str
    seed: int
    epoch: int
    epochs: int
    step: int
    total_steps: int
    """An upper bound: early stopping may end an arm before it."""
    fraction: float
    """Of the whole job, 0 to 1, never falling."""
    targets_per_second: float


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch of one arm; losses are means over targets.

    Arm `warmup` is the part all arms share; one at a share that is searched is `cascade_at_0.1`.
    """

    arm: str
    seed: int
    epoch: int
    loss: float
    loss_match: float | None
    loss_history: float | None
    validation: dict[str, float] | None
    """Metrics on the validation targets ("ndcg@10", "hr@10", …); None where the epoch was not validated."""
    seconds: float


class Progress(Protocol):
    """The world's ear. Called from the training thread only; must be cheap and may raise to end the run."""

    def phase(self, phase: Phase, *, arm: str | None = None, seed: int | None = None) -> None:
        """A new phase of the job has begun."""

    def step(self, at: StepProgress) -> Control:
        """Called after every optimiser step and every evaluation block; the answer is obeyed at once."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """An epoch has ended. After a resume, an epoch is reported again only if it was not finished."""

    def event(self, type: str, message: str, data: dict[str, Any] | None = None) -> None:
        """Something a user should know ("early_stopped", "checkpoint_saved", "nothing_learnt", …)."""


class SilentProgress:
    """A Progress that hears nothing and never stops a run."""

    def phase(self, phase: Phase, *, arm: str | None = None, seed: int | None = None) -> None:
        """Ignore it."""

    def step(self, at: StepProgress) -> Control:
        """Go on."""
        return Control.CONTINUE

    def epoch(self, metrics: EpochMetrics) -> None:
        """Ignore it."""

    def event(self, type: str, message: str, data: dict[str, Any] | None = None) -> None:
        """Ignore it."""


@dataclass(frozen=True)
class CheckpointKey:
    """Which checkpoint: `warmup` (what all arms fork from), `progress` (mid-run), `best` (a finished arm)."""

    kind: CheckpointKind
    seed: int
    arm: str
    epoch: int
    step: int


class CheckpointStore(Protocol):
    """Where checkpoints live. A payload is one safetensors file; its JSON state is in the file's metadata."""

    def save(self, key: CheckpointKey, payload: bytes) -> None:
        """Store it durably before returning. The store keeps the two newest `progress` payloads of an arm."""

    def load(self, kind: CheckpointKind, seed: int, arm: str) -> list[tuple[CheckpointKey, bytes]]:
        """All kept payloads of that kind, newest first; empty when there is none."""

    def discard(self, kind: CheckpointKind, seed: int, arm: str) -> None:
        """Forget the payloads of that kind: the run no longer needs them."""


class MemoryCheckpoints:
    """A CheckpointStore in a dict, for tests and for runs that need no resume."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int, str], list[tuple[CheckpointKey, bytes]]] = {}

    def save(self, key: CheckpointKey, payload: bytes) -> None:
        """Keep the two newest."""
        kept = self._kept.setdefault((key.kind, key.seed, key.arm), [])
        kept.insert(0, (key, payload))
        del kept[2:]

    def load(self, kind: CheckpointKind, seed: int, arm: str) -> list[tuple[CheckpointKey, bytes]]:
        """Newest first."""
        return list(self._kept.get((kind, seed, arm), ()))

    def discard(self, kind: CheckpointKind, seed: int, arm: str) -> None:
        """Forget them."""
        self._kept.pop((kind, seed, arm), None)
