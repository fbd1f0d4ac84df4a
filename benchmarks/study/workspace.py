"""The work folder: who does which run, and where its checkpoints and learning curve lie.

Nothing in it is committed or needed once a run is finished. Locks are `flock`s: a process that dies, however
it dies, holds none.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from benchmarks.study.cells import Run
from worker.training.fitting.checkpoint_folder import FolderCheckpoints
from worker.training.fitting.state import AFTER_WARMUP
from worker.training.fitting.stored import WARMUP
from worker.training.progress import CheckpointKey, CheckpointKind

PAUSE = 20.0
"""Seconds between two looks for work while other processes hold all of it."""


@contextmanager
def hold(lock: Path) -> Iterator[bool]:
    """Hold a lock for this process; yields False when another process holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


class Workspace:
    """Folders of one machine's sitting; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def claim(self, run: Run) -> AbstractContextManager[bool]:
        """Hold the run's training for this process; False within when another process holds it."""
        return hold(self.training(run).with_suffix(".lock"))

    def training(self, run: Run) -> Path:
        """The folder of a training, which runs of other purposes with the same settings share."""
        return self.folder / run.cell.name / run.training

    def warmup(self, run: Run) -> Path:
        """The folder of the warm-up that the run forks from."""
        text = run.spec().model_dump_json(exclude=set(AFTER_WARMUP))
        name = f"warmup-s{run.seed}-{sha256(text.encode()).hexdigest()[:10]}"
        return self.folder / run.cell.name / name


class StudyCheckpoints:
    """A CheckpointStore of a run's own folder, but for the warm-up, which lies where all runs find it.

    A warm-up that is not there is claimed, so that it is trained once: a second process waits for it.
    """

    def __init__(self, own: Path, warmup: Path) -> None:
        self._own, self._shared = FolderCheckpoints(own), FolderCheckpoints(warmup)
        self._lock = warmup / "lock"
        self._held: IO[str] | None = None

    def save(self, key: CheckpointKey, payload: bytes) -> None:
        """Store; a finished warm-up is free for all."""
        self._of(key.arm).save(key, payload)
        if key.kind == "warmup":
            self.release()

    def load(self, kind: CheckpointKind, seed: int, arm: str) -> list[tuple[CheckpointKey, bytes]]:
        """Newest first."""
        found = self._of(arm).load(kind, seed, arm)
        if kind == "warmup" and not found and self._held is None:
            self._held = self._lock.open("a")
            fcntl.flock(self._held, fcntl.LOCK_EX)
            found = self._of(arm).load(kind, seed, arm)
            if found:
                self.release()
        return found

    def discard(self, kind: CheckpointKind, seed: int, arm: str) -> None:
        """Forget the payloads, except a warm-up that others fork from."""
        if kind != "warmup":
            self._of(arm).discard(kind, seed, arm)

    def release(self) -> None:
        """Let go of the warm-up; to be called when the run leaves."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def _of(self, arm: str) -> FolderCheckpoints:
        return self._shared if arm == WARMUP else self._own


class Curve:
    """The learning curve of one training, a JSON line an epoch, with the CPU seconds it took to get there.

    clock: CPU seconds since whenever. Of an epoch that was interrupted, only the CPU time after the
    interruption counts.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "curve.jsonl"

    def points(self) -> list[dict[str, Any]]:
        """The epochs so far: {epoch, loss, ndcg, cpu}; an epoch done twice counts as it was done last."""
        if not self._path.exists():
            return []
        lines = [json.loads(line) for line in self._path.read_text("utf-8").splitlines()]
        return list({point["epoch"]: point for point in lines}.values())

    def add(self, *, epoch: int, loss: float, ndcg: float | None, cpu: float) -> None:
        """Append an epoch that took `cpu` seconds."""
        before = max((point["cpu"] for point in self.points()), default=0.0)
        point = {"epoch": epoch, "loss": loss, "ndcg": ndcg, "cpu": before + cpu}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(point) + "\n")
