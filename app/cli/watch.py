"""Follow a job live: a bar and a table of arms on a terminal, a line every few epochs elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from app.cli.output import seconds_text, status_text
from app.sdk.client import SteadyRank
from app.sdk.errors import ValidationFailedError
from app.sdk.objects.jobs import Job
from app.sdk.objects.training import EpochMetrics
from app.sdk.waiting import AWAY

METRIC = "ndcg@10"
_ANEW = "[dim]training begins anew: what was trained before cannot be gone on with (see its events)[/]"


def follow(client: SteadyRank, job: str | Job, console: Console, *, every_epochs: int = 10) -> Job:
    """Show a job until it has ended, and return it. `every_epochs` thins the lines of a plain output."""
    view: _LiveView | _PlainView
    view = _LiveView(console) if console.is_terminal else _PlainView(console, every_epochs)
    curves = Curves()

    def look(found: Job) -> None:
        nonlocal curves
        if found.started_at is not None:
            try:
                curves.take(client.jobs.metrics(found, after=curves.newest))
            except AWAY:
                view.say("[dim]the service does not answer just now; waiting for it[/]")
            except ValidationFailedError as error:
                if error.code != "unknown_cursor":
                    raise
                curves = Curves()  # another machine trains it anew, and its epochs are gone
                view.begin_anew()
        view.show(found, curves)

    with view:
        return client.jobs.wait(job, look)


class Curves:
    """The epochs of every arm and seed so far."""

    def __init__(self) -> None:
        self.arms: dict[tuple[str, int], dict[int, EpochMetrics]] = {}
        self.newest: str | None = None

    def take(self, rows: Iterable[EpochMetrics]) -> None:
        """Add rows; an epoch repeated after a resume replaces its row."""
        for row in rows:
            self.arms.setdefault((row.arm, row.seed), {})[row.epoch] = row
            self.newest = row.id

    def best(self, arm: tuple[str, int]) -> float | None:
        """The arm's best validation NDCG@10 so far."""
        seen = (_metric(row) for row in self.arms[arm].values())
        return max((value for value in seen if value is not None), default=None)

    def last(self, arm: tuple[str, int]) -> EpochMetrics:
        """The arm's newest epoch."""
        epochs = self.arms[arm]
        return epochs[max(epochs)]


class _LiveView(AbstractContextManager["_LiveView"]):
    """Redraws in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, line: str) -> None:
        self._live.console.print(line)

    def begin_anew(self) -> None:
        self.say(_ANEW)

    def show(self, job: Job, curves: Curves) -> None:
        self._live.update(_panel(job, curves), refresh=True)


class _PlainView(AbstractContextManager["_PlainView"]):
    """Writes a line when something changed, and every few epochs."""

    def __init__(self, console: Console, every_epochs: int) -> None:
        self._console = console
        self._every = every_epochs
        self._state = ""
        self._told: dict[tuple[str, int], int] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def say(self, line: str) -> None:
        self._console.print(line)

    def begin_anew(self) -> None:
        self._told = {}
        self.say(_ANEW)

    def show(self, job: Job, curves: Curves) -> None:
        for arm in curves.arms:
            epoch = curves.last(arm).epoch
            if epoch >= self._told.get(arm, 0) + self._every:
                self._told[arm] = epoch - epoch % self._every
                self.say(f"  {_name(arm, job)}: epoch {epoch}, {_figures(arm, curves)}")
        state = _state(job)
        if state != self._state:
            self._state = state
            self.say(f"{state} {100 * job.progress.fraction:3.0f} %")


def _panel(job: Job, curves: Curves) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("arm", "epoch", "loss", "validation NDCG@10", "best so far"):
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    for arm in curves.arms:
        last, best = curves.last(arm), curves.best(arm)
        table.add_row(
            _name(arm, job),
            str(last.epoch),
            f"{last.loss:.4f}",
            "" if (now := _metric(last)) is None else f"{now:.4f}",
            f"{best:.4f}" if best is not None else "",
        )
    bar = Table.grid(padding=(0, 1))
    fraction = 1.0 if job.status == "succeeded" else job.progress.fraction
    bar.add_row(
        _state(job),
        ProgressBar(total=1.0, completed=fraction, width=40),
        f"{100 * fraction:.0f} %",
        _time(job),
    )
    return Group(table, bar) if curves.arms else bar


def _state(job: Job) -> str:
    if job.status == "running":
        return " ".join(filter(None, (job.phase or "starting", escape(job.arm or ""))))
    if job.status == "queued":
        ahead, reason = (job.queue["position"] - 1, job.queue["reason"]) if job.queue else (0, "")
        parts = ("queued", f"{ahead} ahead" if ahead else "", reason)
        return escape(", ".join(filter(None, parts)))
    return status_text(job.status)


def _time(job: Job) -> str:
    now = datetime.now(UTC)
    parts = []
    if job.started_at:
        parts.append(f"{seconds_text(((job.ended_at or now) - job.started_at).total_seconds())} elapsed")
    if job.progress.eta_at and not job.is_terminal:
        parts.append(f"{seconds_text((job.progress.eta_at - now).total_seconds())} to go")
    return ", ".join(parts)


def _figures(arm: tuple[str, int], curves: Curves) -> str:
    last, best = curves.last(arm), curves.best(arm)
    figures = f"loss {last.loss:.4f}"
    if (now := _metric(last)) is not None:
        figures += f", validation NDCG@10 {now:.4f}"
    return figures + (f" (best {best:.4f})" if best is not None else "")


def _metric(row: EpochMetrics) -> float | None:
    return (row.validation or {}).get(METRIC)


def _name(arm: tuple[str, int], job: Job) -> str:
    name, seed = arm
    return f"{name}, seed {seed}" if len(job.spec.get("seeds") or ()) > 1 else name
