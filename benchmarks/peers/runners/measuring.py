"""What every runner shares: settings, the data file, CPU time and the closing JSON line.

A runner is a script that an environment's own Python runs, so it can import its neighbours in this folder
and nothing of SteadyRank (but `run_ours.py`, which is SteadyRank).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True)
class Settings:
    """The same for every library. window: input positions; epochs: those measured, after one that is not."""

    data: str
    width: int = 64
    blocks: int = 2
    heads: int = 1
    window: int = 50
    batch: int = 256
    dropout: float = 0.5
    learning_rate: float = 1e-3
    epochs: int = 1
    seed: int = 0


def given_settings() -> Settings:
    """The settings that the driver passed as JSON in the only argument."""
    parser = argparse.ArgumentParser()
    parser.add_argument("settings", type=json.loads)
    return Settings(**parser.parse_args().settings)


@dataclass(frozen=True)
class Interactions:
    """The rows of the data file, user by user, oldest first: int64 arrays of one length.

    user and item count from 1; part is TRAIN, VALIDATION (last but one of a user) or TEST (the last).
    """

    user: np.ndarray
    item: np.ndarray
    part: np.ndarray

    @property
    def time(self) -> np.ndarray:
        """A time for libraries that want one: seconds that rise with the row."""
        return 1_000_000_000 + np.arange(len(self.user))

    def only(self, *parts: int) -> np.ndarray:
        """bool: the rows of these parts."""
        return np.isin(self.part, parts)


def load(path: str) -> Interactions:
    rows = np.loadtxt(path, dtype=np.int64, delimiter="\t", skiprows=1)
    return Interactions(rows[:, 0], rows[:, 1], rows[:, 2])


def cpu_seconds() -> float:
    """CPU seconds of this process, all its threads and its finished children."""
    # os.times() counts in hundredths of a second, which small epochs do not fill.
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_megabytes() -> float:
    """Largest resident size so far; getrusage's begins with that of the driver that started this process."""
    try:
        status = Path("/proc/self/status").read_text("ascii", "replace")
    except OSError:
        status = ""
    own = next((line for line in status.splitlines() if line.startswith("VmHWM:")), None)
    kilobytes = own.split()[1] if own is not None else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(kilobytes) / 1024


@dataclass
class Epochs:
    """CPU seconds of epochs, told by the library's own hooks; the first is a warm-up and is not counted."""

    seconds: list[float] = field(default_factory=list)
    _started: float = 0.0

    def start(self) -> None:
        """An epoch begins."""
        self._started = cpu_seconds()

    def end(self) -> None:
        """It has ended."""
        self.seconds.append(cpu_seconds() - self._started)

    @property
    def counted(self) -> list[float]:
        """CPU seconds of every epoch but the first."""
        return self.seconds[1:]


def finish(
    *,
    library: str,
    version: str,
    loss: str,
    epochs: Epochs,
    targets: int,
    training_peak: float,
    evaluation_seconds: float,
    users: int,
    metrics: dict[str, float],
    notes: list[str],
) -> None:
    """Print the JSON line that the driver reads: the last one of standard output."""
    epoch_seconds = statistics.median(epochs.counted)
    line: dict[str, Any] = {
        "library": library,
        "version": version,
        "loss": loss,
        "targets_per_epoch": targets,
        "epoch_cpu_seconds": round(epoch_seconds, 3),
        "epochs_cpu_seconds": [round(seconds, 3) for seconds in epochs.counted],
        "targets_per_cpu_second": round(targets / epoch_seconds),
        "training_peak_megabytes": round(training_peak),
        "evaluation_cpu_seconds": round(evaluation_seconds, 3),
        "evaluated_users": users,
        "peak_megabytes": round(peak_megabytes()),
        "metrics": {name: round(float(value), 5) for name, value in metrics.items()},
        "notes": notes,
    }
    print("\n" + json.dumps(line), flush=True)
