"""RecTools' SASRec (softmax) beside the `strong` preset: as many trials, as many seeds on test.

Its runs are made in an environment of its own (`--python`), one at a time in each process. A run that was
interrupted begins again; finished ones are lines of `rectools-<data>.jsonl`.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.environments import clean_environment
from benchmarks.study.cells import CELLS, Cell
from benchmarks.study.rules import DataName, Rules, Settings
from benchmarks.study.running import environment, now, say, split_of
from benchmarks.study.workspace import PAUSE, hold
from worker.training.data.split import LeaveOneOut

SCRIPT = Path(__file__).parent / "peers/rectools_sasrec.py"
COMPARED: tuple[DataName, ...] = tuple(cell.data for cell in CELLS if cell.preset == "strong")


@dataclass(frozen=True)
class PeerRun:
    """A trial (validation alone, seed 0) or a test of RecTools."""

    data: DataName
    purpose: str
    seed: int
    changes: Settings

    @property
    def key(self) -> str:
        """Names the run among those of its data set."""
        settings = "-".join(f"{value:g}" for value in self.changes.values())
        return f"{self.purpose}-s{self.seed}-{settings}"


class PeerStudy:
    """What is finished, and what is left, of the comparison on one data set."""

    def __init__(self, data: DataName, rules: Rules, folder: Path) -> None:
        self.data, self.rules = data, rules
        self._lines = folder / f"rectools-{data}.jsonl"

    def finished(self) -> dict[str, dict[str, Any]]:
        """Records by key, each {key, purpose, seed, changes, settings, result, environment, finished_at}.

        The environment is that of who started the run; the script's own is in result. The first records have
        neither it nor a time.
        """
        if not self._lines.exists():
            return {}
        lines = [json.loads(line) for line in self._lines.read_text("utf-8").splitlines()]
        return {line["key"]: line for line in lines}

    def chosen(self) -> Settings | None:
        """The trial with the highest validation NDCG@10; None while one is missing."""
        done = self.finished()
        trials = [self._trial(changes) for changes in self.rules.tuning]
        if any(run.key not in done for run in trials):
            return None
        best = max(trials, key=lambda run: done[run.key]["result"]["validation"]["ndcg@10"])
        return best.changes

    def pending(self) -> list[PeerRun]:
        """Runs that can be done now, in order."""
        chosen = self.chosen()
        if chosen is None:
            runs = [self._trial(changes) for changes in self.rules.tuning]
        else:
            runs = [PeerRun(self.data, "test", seed, chosen) for seed in self.rules.seeds]
        done = self.finished()
        return [run for run in runs if run.key not in done]

    def tests(self) -> list[dict[str, Any]]:
        """Results of the chosen setting on test, a seed each; [] while a seed is missing."""
        chosen, done = self.chosen(), self.finished()
        if chosen is None:
            return []
        keys = [PeerRun(self.data, "test", seed, chosen).key for seed in self.rules.seeds]
        return [done[key]["result"] for key in keys] if all(key in done for key in keys) else []

    def add(self, run: PeerRun, settings: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Write a finished run down. ValueError when it was ended before its patience was over."""
        counted_from = max(result["best_epoch"], settings["min_epochs"])
        waited = (result["epochs"] - counted_from) // settings["validate_every"]
        if not result["cut"] and waited < settings["patience"]:
            patience = f"its patience is {settings['patience']}"
            raise ValueError(f"{run.key} was ended {waited} validations after its best, {patience}")
        line = {
            "key": run.key,
            "purpose": run.purpose,
            "seed": run.seed,
            "changes": dict(run.changes),
            "settings": {name: value for name, value in settings.items() if name != "data"},
            "result": dict(result),
            "environment": environment(),
            "finished_at": now(),
        }
        self._lines.parent.mkdir(parents=True, exist_ok=True)
        with self._lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, sort_keys=True, allow_nan=False) + "\n")

    def settings(self, run: PeerRun, data: Path) -> dict[str, Any]:
        """What the script is told: the study's protocol and sizes, the run's learning rate and dropout."""
        base = {**Cell(self.data, "sasrec").base(self.rules), **self.rules.protocol("strong"), **run.changes}
        return {
            "data": str(data),
            "learning_rate": base["learning_rate"],
            "dropout": base["dropout"],
            "batch": base["batch_size"],
            "seed": run.seed,
            "test": run.purpose == "test",
            "width": base["hidden_size"],
            "blocks": base["blocks"],
            "heads": base["heads"],
            "window": base["max_length"],
            "epochs": base["epochs"],
            "min_epochs": base["min_epochs"],
            "patience": base["patience"],
            "validate_every": base["validate_every"],
        }

    def _trial(self, changes: Settings) -> PeerRun:
        return PeerRun(self.data, "trial", 0, changes)


def compare_with_rectools(study: PeerStudy, python: Path, data: Path, work: Path) -> None:
    """Do all that is left on one data set. data: folder of the public files. Raises CalledProcessError."""
    path = work / f"rectools-{study.data}.tsv"
    if not path.exists():
        write_parts(split_of(data, study.data), path)
    while pending := study.pending():
        for run in pending:
            with hold(work / f"rectools-{study.data}-{run.key}.lock") as mine:
                if mine and run.key not in study.finished():
                    _do(study, run, python, path)
                    break
        else:
            time.sleep(PAUSE)


def _do(study: PeerStudy, run: PeerRun, python: Path, data: Path) -> None:
    settings = study.settings(run, data)
    say(f"rectools {study.data} {run.key}")
    command = [str(python), str(SCRIPT), json.dumps(settings)]
    with subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        last = ""
        for line in process.stdout:
            if line.startswith("{"):
                last = line
                say(f"  {run.key} {line.strip()}")
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command[:2])
    study.add(run, settings, json.loads(last)["result"])


def write_parts(split: LeaveOneOut, path: Path) -> None:
    """Write `user item part`, user by user and oldest first; part 0 train, 1 validation, 2 test."""
    train = split.train
    users = np.repeat(np.arange(train.n_users), train.lengths)
    rows = np.column_stack([users, train.items, np.zeros(len(users), dtype=np.int64)])
    held_out = [
        np.column_stack([split.eval_users, targets, np.full(len(targets), part)])
        for part, targets in ((1, split.validation_target), (2, split.test_target))
    ]
    table = np.concatenate([rows, *held_out])
    table = table[np.argsort(table[:, 0], kind="stable")]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")  # another process may begin at the same moment
    np.savetxt(partial, table, fmt="%d", delimiter="\t", header="user\titem\tpart", comments="")
    partial.replace(path)
