"""What finished runs leave behind: a JSON line each, and for test runs each user's outcome.

Both are committed, so that every table and interval can be made again without a single run.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.study.cells import Cell

Float32 = npt.NDArray[np.float32]

CLEAN, ATTACKED, CLEAN_THERE, OVERLAP = "clean", "attacked", "clean_there", "overlap"
"""Outcomes of a user: NDCG@10; NDCG@10 with the last item replaced; NDCG@10 without, over the attack's own
candidates; overlap of those two top-10 lists. The last three are NaN for who takes no part."""
OUTCOMES = (CLEAN, ATTACKED, CLEAN_THERE, OVERLAP)


@dataclass(frozen=True)
class Record:
    """One finished run.

    validation, test: metrics by name; test is None for a trial. attacks: rows of `run_attacks`, on validation
    for a trial, else on test; the first replaces the last item by any other. curve: [epoch, validation
    NDCG@10] of each validated epoch. cut: the epoch limit ended it, not patience. cpu_seconds: of training
    and validation, warm-up included; of the whole run, and until the best epoch was validated. error: why
    there are no figures.
    """

    key: str
    cell: str
    purpose: str
    arm: str
    seed: int
    changes: Mapping[str, Any]
    spec: Mapping[str, Any]
    validation: Mapping[str, float] = field(default_factory=dict)
    test: Mapping[str, float] | None = None
    attacks: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    epochs: int = 0
    cut: bool = False
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    cpu_seconds_to_best: float = 0.0
    curve: list[list[float]] = field(default_factory=list)
    environment: Mapping[str, Any] = field(default_factory=dict)
    finished_at: str = ""
    error: str | None = None

    @property
    def clean(self) -> float:
        """Validation NDCG@10."""
        return self.validation["ndcg@10"]

    @property
    def attacked(self) -> float:
        """NDCG@10 with the last item replaced, in the phase that the run was measured in."""
        return float(self.attacks[0]["ndcg@10"])


class Results:
    """The folder of results: `<cell>.jsonl`, and `outcomes/<cell>/<key>.npz`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, cell: Cell) -> dict[str, Record]:
        """Read the cell's records by key; of a key that stands there twice, the first (test is met once)."""
        path = self._lines(cell)
        found: dict[str, Record] = {}
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                record = Record(**json.loads(line))
                found.setdefault(record.key, record)
        return found

    def add(self, cell: Cell, record: Record, outcomes: Mapping[str, Float32] | None = None) -> None:
        """Write a finished run, its outcomes first, so that a line never lacks them."""
        if outcomes is not None:
            path = self._outcomes(cell, record.key)
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial.npz")
            # Three digits are plenty for a mean over users, and a run takes some 30 KB.
            half = {name: np.asarray(outcomes[name], dtype=np.float16) for name in OUTCOMES}
            np.savez_compressed(partial, allow_pickle=False, **half)
            partial.replace(path)
        self.folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps(asdict(record), allow_nan=False, sort_keys=True) + "\n"
        with self._lines(cell).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def outcomes(self, cell: Cell, key: str) -> dict[str, Float32]:
        """float32[E] for each of OUTCOMES, rows in the order of the split's `eval_users`."""
        with np.load(self._outcomes(cell, key), allow_pickle=False) as stored:
            return {name: stored[name].astype(np.float32) for name in OUTCOMES}

    def _lines(self, cell: Cell) -> Path:
        return self.folder / f"{cell.name}.jsonl"

    def _outcomes(self, cell: Cell, key: str) -> Path:
        return self.folder / "outcomes" / cell.name / f"{key}.npz"
