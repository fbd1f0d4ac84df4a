"""Training's progress on a terminal, and the keys that end it there."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console
from rich.markup import escape

from worker.training.progress import Control, EpochMetrics, Phase, StepProgress


class ConsoleProgress:
    """A line for every phase, validated epoch and event."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.control = Control.CONTINUE

    def phase(self, phase: Phase, *, arm: str | None = None, seed: int | None = None) -> None:
        """Print the phase, in bold."""
        of_seed = f", seed {seed}" if seed is not None else ""
        self._console.print(f"[bold]{phase}[/]" + (f" {arm}{of_seed}" if arm else ""))

    def step(self, at: StepProgress) -> Control:
        """Print nothing; say what was asked for by the keys."""
        return self.control

    def epoch(self, metrics: EpochMetrics) -> None:
        """Print its loss, its validation figure and its seconds."""
        ndcg = f", validation NDCG@10 {metrics.validation['ndcg@10']:.4f}" if metrics.validation else ""
        self._console.print(
            f"  {metrics.arm} epoch {metrics.epoch}: loss {metrics.loss:.4f}{ndcg} ({metrics.seconds:.1f} s)"
        )

    def event(self, type: str, message: str, data: dict[str, Any] | None = None) -> None:
        """Print it."""
        self._console.print(f"  [yellow]{type}[/] {escape(message)}")


@contextmanager
def interruptible(console: Console) -> Iterator[ConsoleProgress]:
    """Ctrl-C and SIGTERM ask for a checkpoint and a stop; a second Ctrl-C ends the process at once."""
    progress = ConsoleProgress(console)

    def ask(number: int, frame: FrameType | None) -> None:
        progress.control = Control.SAVE_AND_STOP
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield progress
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
