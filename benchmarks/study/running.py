"""One run: train (or go on, or read back), measure what its purpose allows, and write it down."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from benchmarks.study.cells import Run
from benchmarks.study.records import ATTACKED, CLEAN, CLEAN_THERE, OVERLAP, Float32, Record
from benchmarks.study.rules import FILES, DataName
from benchmarks.study.workspace import Curve, StudyCheckpoints, Workspace
from worker.training.attacks.run import AttackResults, run_attacks
from worker.training.data.readers.read import ReadOptions, read_interactions
from worker.training.data.sequences import build_sequences
from worker.training.data.split import LeaveOneOut, leave_one_out
from worker.training.evaluation.baselines import Markov, Popularity
from worker.training.evaluation.evaluate import evaluate, model_scorer, weights_scorer
from worker.training.evaluation.metrics import ndcg
from worker.training.evaluation.scorers import Scorer
from worker.training.fitting.stored import WARMUP
from worker.training.fitting.trainer import Outcome, Trainer
from worker.training.models.base import SequenceModel
from worker.training.progress import (
    Control,
    DivergedError,
    EpochMetrics,
    SilentProgress,
    StepProgress,
    Stopped,
)
from worker.training.spec import TrainSpec

Stopping = Callable[[], bool]
"""Whether the process was asked to leave."""

TEST_ATTACKS: tuple[dict[str, list[Any]], ...] = (
    {"attack_positions": ["end"], "attack_counts": [1, 2, 3, 5], "attack_replacements": ["uniform"]},
    {"attack_positions": ["start", "random"], "attack_counts": [1], "attack_replacements": ["uniform"]},
    {
        "attack_positions": ["end"],
        "attack_counts": [1],
        "attack_replacements": ["popularity", "nearest", "gradient"],
    },
)
"""What a test run is attacked with; the very first cell is the one arms are compared by."""

_COMPARED = "end.1.uniform"

Phase = Literal["validation", "test"]


class Ear(SilentProgress):
    """Keeps the learning curves, says each validation, and passes on that the process is to leave."""

    def __init__(self, run: Run, own: Curve, warmup: Curve, stopping: Stopping) -> None:
        self._run, self._own, self._warmup, self._stopping = run, own, warmup, stopping
        self._clock = time.process_time()

    def step(self, at: StepProgress) -> Control:
        """Save and stop when asked to."""
        return Control.SAVE_AND_STOP if self._stopping() else Control.CONTINUE

    def epoch(self, metrics: EpochMetrics) -> None:
        """Write the epoch down."""
        now = time.process_time()
        curve = self._warmup if metrics.arm == WARMUP else self._own
        found = metrics.validation["ndcg@10"] if metrics.validation else None
        curve.add(epoch=metrics.epoch, loss=metrics.loss, ndcg=found, cpu=now - self._clock)
        self._clock = now
        if found is not None:
            say(f"  {self._run.training} epoch {metrics.epoch}: loss {metrics.loss:.4f}, NDCG@10 {found:.4f}")


def perform(
    run: Run, workspace: Workspace, data: Path, stopping: Stopping
) -> tuple[Record, dict[str, Float32] | None]:
    """Return the finished run, and for purposes `test` and `baseline` each user's outcomes.

    data: folder of the public files. Raises Stopped, with all that was trained saved, when told to leave.
    """
    split, spec = split_of(data, run.cell.data), run.spec()
    common: dict[str, Any] = {
        "key": run.key,
        "cell": run.cell.name,
        "purpose": run.purpose,
        "arm": run.arm,
        "seed": run.seed,
        "changes": dict(run.changes),
        "spec": spec.model_dump(mode="json"),
        "environment": environment(),
    }

    def tick(share: float) -> None:
        if stopping():
            raise Stopped(saved=True)

    if run.purpose == "baseline":
        scorer: Scorer = Popularity(split) if run.arm == "popularity" else Markov(split)
        figures, outcomes = _on_test(scorer, split, spec, tick)
        found = evaluate(scorer, split, "validation", exclude_seen=spec.exclude_seen, lists=False, tick=tick)
        return Record(**common, **figures, validation=found.metrics, finished_at=now()), outcomes
    folder = workspace.training(run)
    warmup = workspace.warmup(run)
    checkpoints = StudyCheckpoints(folder, warmup)
    own_curve, warmup_curve = Curve(folder), Curve(warmup)
    try:
        outcome = _train(
            run, spec, split, Ear(run, own_curve, warmup_curve, stopping), checkpoints, tick=tick
        )
    except DivergedError as error:
        return Record(**common, error=str(error), finished_at=now()), None
    finally:
        checkpoints.release()
    points = own_curve.points()
    before = max((point["cpu"] for point in warmup_curve.points()), default=0.0)
    common |= {
        "validation": outcome.validation,
        "best_epoch": outcome.best_epoch,
        "epochs": outcome.epochs,
        "cut": outcome.stop_reason == "epochs",
        "seconds": round(outcome.seconds, 1),
        "cpu_seconds": round(before + max((p["cpu"] for p in points), default=0.0), 3),
        "cpu_seconds_to_best": round(
            before + max((p["cpu"] for p in points if p["epoch"] <= outcome.best_epoch), default=0.0),
            3,
        ),
        "curve": [[p["epoch"], round(p["ndcg"], 5)] for p in points if p["ndcg"] is not None],
    }
    scorer = weights_scorer(spec, outcome.weights, split.n_items)
    if run.purpose == "trial":
        rows = _attack(scorer, split, spec, "validation", tick).rows
        return Record(**common, attacks=rows, finished_at=now()), None
    figures, outcomes = _on_test(scorer, split, spec, tick)
    return Record(**common, **figures, finished_at=now()), outcomes


def _train(
    run: Run,
    spec: TrainSpec,
    split: LeaveOneOut,
    ear: Ear,
    checkpoints: StudyCheckpoints,
    *,
    tick: Callable[[float], None],
) -> Outcome:
    def validate(model: SequenceModel) -> dict[str, float]:
        # Between two epochs a stop is obeyed at the next step, which saves: so no tick here.
        scorer = model_scorer(model, spec.max_length)
        return evaluate(scorer, split, "validation", exclude_seen=spec.exclude_seen, lists=False).metrics

    trainer = Trainer(spec, split.train, validate=validate, progress=ear, checkpoints=checkpoints)
    tick(0.0)
    return trainer.train(spec.arms[0], run.seed)


def _on_test(
    scorer: Scorer, split: LeaveOneOut, spec: TrainSpec, tick: Callable[[float], None]
) -> tuple[dict[str, Any], dict[str, Float32]]:
    clean = evaluate(scorer, split, "test", exclude_seen=spec.exclude_seen, tick=tick)
    attacked = [
        _attack(scorer, split, spec.model_copy(update={**attack}), "test", tick) for attack in TEST_ATTACKS
    ]
    per_user = attacked[0].per_user
    outcomes = {
        CLEAN: ndcg(clean.ranks, 10).astype(np.float32),
        ATTACKED: per_user[f"{_COMPARED}.ndcg@10"],
        CLEAN_THERE: per_user[f"{_COMPARED}.clean_ndcg@10"],
        OVERLAP: per_user[f"{_COMPARED}.overlap"],
    }
    return {"test": clean.metrics, "attacks": [row for one in attacked for row in one.rows]}, outcomes


def _attack(
    scorer: Scorer, split: LeaveOneOut, spec: TrainSpec, phase: Phase, tick: Callable[[float], None]
) -> AttackResults:
    return run_attacks(scorer, split, spec, max_length=spec.max_length, phase=phase, tick=tick)


@cache
def split_of(folder: Path, data: DataName) -> LeaveOneOut:
    """Read a public file and split it, once a process."""
    read = read_interactions(folder / FILES[data], ReadOptions())
    return leave_one_out(build_sequences(read.interactions))


@cache
def environment() -> dict[str, Any]:
    """What a record says of where it was made."""
    root = Path(__file__).resolve().parents[2]
    return {
        "code": code_version(root) or "unknown",
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
    }


def code_version(root: Path) -> str:
    """The commit, with `-dirty` where code that a run is made of is not as it has it; '' outside of git.

    Results are committed as they come, so that they are most often ahead of it.
    """

    def git(*arguments: str) -> str:
        asked = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
        return asked.stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD")
    changed = git("status", "--porcelain", "--", "worker", "benchmarks", ":!benchmarks/study/results")
    return f"{commit}-dirty" if commit and changed else commit


def say(text: str) -> None:
    """Print a line with the time, at once."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)


def now() -> str:
    """The time of a record."""
    return datetime.now(UTC).isoformat(timespec="seconds")
