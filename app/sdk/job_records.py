"""What a job leaves: events, log lines, metrics, report, figures, checkpoints; a part of `client.jobs`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, cast, overload
from urllib.parse import quote

from app.sdk.downloads import download
from app.sdk.following import follow_events
from app.sdk.logs import LogLine, follow_lines, read_lines
from app.sdk.objects.fields import id_in_path
from app.sdk.objects.jobs import Event, Job
from app.sdk.objects.training import Checkpoint, EpochMetrics
from app.sdk.reports import JobReport
from app.sdk.transport import Transport

_MEDIA_TYPES = {"html": "text/html", "md": "text/markdown"}


class JobRecords:
    """The records of jobs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def events(self, job: str | Job, *, after: str | None = None) -> Iterator[Event]:
        """What happened to it, oldest first; `after` is the id of the last event already seen."""
        rows = self._transport.pages(f"{path_of(job)}/events", params={"limit": 100, "after": after})
        return map(Event.from_json, rows)

    def stream(
        self, job: str | Job, *, after: str | int | None = None, outage: float = 120.0
    ) -> Iterator[Event]:
        """Follow its events as they happen, until it has ended; a lost connection is made again.

        `after` is the number or id of the last event already seen; `outage` is how many seconds the service
        may be away meanwhile.
        """
        return follow_events(self._transport, f"{path_of(job)}/events", after=after, outage=outage)

    def logs(
        self,
        job: str | Job,
        *,
        attempt: int | None = None,
        after: str | None = None,
        tail: int | None = None,
        follow: bool = False,
        outage: float = 120.0,
    ) -> Iterator[LogLine]:
        """What its training processes wrote, oldest first; kept when the worker is gone.

        Args:
            job: The job or its id.
            attempt: Only this attempt's.
            after: Id of the last line already seen.
            tail: Only the last so many of those that are there; not together with `after`.
            follow: Go on with new lines until the job has ended.
            outage: Seconds that the service may be unreachable meanwhile.

        """
        query = {"attempt": attempt, "after": after, "tail": tail, "limit": None if tail else 1000}
        if follow:
            return follow_lines(self._transport, path_of(job), query, outage=outage)
        return read_lines(self._transport, path_of(job), query)

    def metrics(self, job: str | Job, *, after: str | None = None) -> Iterator[EpochMetrics]:
        """Loss and validation figures of every epoch, oldest first; `after` is the last row's id."""
        rows = self._transport.pages(f"{path_of(job)}/metrics", params={"limit": 100, "after": after})
        return map(EpochMetrics.from_json, rows)

    @overload
    def report(self, job: str | Job, *, format: Literal["json"] = "json") -> JobReport: ...
    @overload
    def report(self, job: str | Job, *, format: Literal["html", "md"]) -> str: ...
    def report(self, job: str | Job, *, format: Literal["json", "html", "md"] = "json") -> JobReport | str:
        """The comparison of the arms: clean figures, figures under attack, baselines.

        `html` is one page with its figures, which needs nothing else; `md` is Markdown.
        """
        path, query = f"{path_of(job)}/report", {"format": format}
        if format == "json":
            return cast("JobReport", self._transport.json("GET", path, params=query))
        return self._transport.text(path, _MEDIA_TYPES[format], params=query)

    def report_markdown(self, job: str | Job) -> str:
        """The report as Markdown."""
        return self.report(job, format="md")

    def manifest(self, job: str | Job) -> dict[str, Any]:
        """What the job was made of and what it made, by hash; `steadyrank train --from-manifest` reads it."""
        return self._transport.json("GET", f"{path_of(job)}/manifest")

    def figures(self, job: str | Job) -> tuple[str, ...]:
        """Names of the report's figures."""
        return tuple(str(row["id"]) for row in self._transport.pages(f"{path_of(job)}/figures"))

    def figure(self, job: str | Job, name: str) -> str:
        """One of them, as SVG."""
        return self._transport.text(f"{path_of(job)}/figures/{quote(name, safe='')}.svg", "image/svg+xml")

    def checkpoints(self, job: str | Job) -> Iterator[Checkpoint]:
        """The training states that are kept."""
        return map(Checkpoint.from_json, self._transport.pages(f"{path_of(job)}/checkpoints"))

    def checkpoint(self, checkpoint: str | Checkpoint) -> Checkpoint:
        """One of them."""
        return Checkpoint.from_json(self._transport.json("GET", f"/v1/checkpoints/{id_in_path(checkpoint)}"))

    def download_checkpoint(
        self,
        checkpoint: str | Checkpoint,
        target: str | os.PathLike[str],
        *,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Path:
        """Download a training state, a safetensors file, into the file `target`; resumes, and checks it."""
        found = self.checkpoint(checkpoint) if isinstance(checkpoint, str) else checkpoint
        path, file = f"/v1/checkpoints/{found.id}/content", Path(target)
        download(self._transport, path, file, size=found.bytes, sha256=found.sha256, on_bytes=on_bytes)
        return file


def path_of(job: str | Job) -> str:
    """The job's path in the API."""
    return f"/v1/jobs/{id_in_path(job)}"
