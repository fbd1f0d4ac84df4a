"""Jobs: train the arms of a comparison on a data set, follow them, read the report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, overload
from urllib.parse import quote

from app.sdk.downloads import download
from app.sdk.errors import RateLimitedError, ServerError, ServiceUnreachableError, WaitTimeoutError
from app.sdk.following import follow_events
from app.sdk.logs import LogLine, follow_lines, read_lines
from app.sdk.objects.datasets import Dataset
from app.sdk.objects.fields import id_of
from app.sdk.objects.jobs import Event, Job
from app.sdk.objects.training import Checkpoint, EpochMetrics
from app.sdk.transport import Transport

_LONG_POLL = 30.0


class Jobs:
    """`client.jobs`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, dataset: str | Dataset, **settings: Any) -> Job:
        """Submit a training job; `settings` are the training settings by name (`client.capabilities()`).

        `client.jobs.create("ds_…")` is a full job. ValidationFailedError points at each wrong setting,
        DatasetNotReadyError says that the data set is still being read or was rejected.
        """
        body = {"dataset": id_of(dataset), **settings}
        return Job.from_json(self._transport.json("POST", "/v1/jobs", body=body))

    def validate(
        self, dataset: str | Dataset, *, estimate: str | None = None, **settings: Any
    ) -> dict[str, Any]:
        """Check a job without submitting it: every setting as it would be run, and an estimate.

        `estimate="probe"` has a worker time a few steps first (25 s at most); its `basis` says if one did.
        """
        body = {"dataset": id_of(dataset), **settings}
        query = {"validate_only": "true", "estimate": estimate}
        return self._transport.json("POST", "/v1/jobs", params=query, body=body, repeatable=True)

    def list(
        self,
        *,
        status: str | None = None,
        dataset: str | Dataset | None = None,
        model: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        labels: Mapping[str, str | None] | None = None,
        page_size: int | None = None,
    ) -> Iterator[Job]:
        """All jobs, or those that fit, newest first, page after page as you read on.

        Every one of `labels` must be there, with that value, or with any where it is None. A time without a
        zone is this machine's.
        """
        wanted = [key if value is None else f"{key}={value}" for key, value in (labels or {}).items()]
        query = {
            "status": status,
            "dataset": None if dataset is None else id_of(dataset),
            "model": model,
            "created_after": None if created_after is None else created_after.astimezone().isoformat(),
            "created_before": None if created_before is None else created_before.astimezone().isoformat(),
            "label": wanted or None,
            "limit": page_size,
        }
        return map(Job.from_json, self._transport.pages("/v1/jobs", params=query))

    def get(self, job: str | Job, *, wait: float = 0.0) -> Job:
        """One job; with `wait`, once it has a new event or has ended, after at most so many seconds."""
        # The service answers within a minute, and must before this client's patience ends.
        seconds = int(min(wait, 60.0, self._transport.timeout / 2))
        query = {"wait": seconds if seconds > 0 else None}
        return Job.from_json(self._transport.json("GET", _path(job), params=query))

    def cancel(self, job: str | Job) -> Job:
        """Cancel it: at once when queued, within a few batches when running. A second cancel is refused."""
        return Job.from_json(self._transport.json("POST", f"{_path(job)}/cancel"))

    def pause(self, job: str | Job) -> Job:
        """Pause it: at once when queued, within a few batches when running; its progress is saved."""
        return Job.from_json(self._transport.json("POST", f"{_path(job)}/pause"))

    def resume(self, job: str | Job) -> Job:
        """Queue a paused job again; it goes on where it was paused."""
        return Job.from_json(self._transport.json("POST", f"{_path(job)}/resume"))

    def retry(self, job: str | Job) -> Job:
        """Queue a failed or cancelled job again; it goes on from its last checkpoint."""
        return Job.from_json(self._transport.json("POST", f"{_path(job)}/retry"))

    def update(
        self,
        job: str | Job,
        *,
        name: str | None = None,
        labels: Mapping[str, str | None] | None = None,
        priority: int | None = None,
    ) -> Job:
        """Change its name (an empty one takes it away), labels (None takes one away, others stay), priority.

        The priority, -10 to 10, can be changed as long as it waits.
        """
        body: dict[str, Any] = {} if name is None else {"name": name or None}
        if priority is not None:
            body["priority"] = priority
        if labels is not None:
            body["labels"] = dict(labels)
        return Job.from_json(self._transport.json("PATCH", _path(job), body=body))

    def delete(self, job: str | Job, *, models: bool = False) -> dict[str, Any]:
        """Delete a finished job, and its models too when `models`; says how many bytes came free."""
        query = {"models": "true" if models else None}
        return self._transport.json("DELETE", _path(job), params=query)

    def events(self, job: str | Job, *, after: str | None = None) -> Iterator[Event]:
        """What happened to it, oldest first; `after` is the id of the last event already seen."""
        rows = self._transport.pages(f"{_path(job)}/events", params={"limit": 100, "after": after})
        return map(Event.from_json, rows)

    def stream(
        self, job: str | Job, *, after: str | int | None = None, outage: float = 120.0
    ) -> Iterator[Event]:
        """Follow its events as they happen, until it has ended; a lost connection is made again.

        `after` is the number or id of the last event already seen; `outage` is how many seconds the service
        may be away meanwhile.
        """
        return follow_events(self._transport, f"{_path(job)}/events", after=after, outage=outage)

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
            return follow_lines(self._transport, _path(job), query, outage=outage)
        return read_lines(self._transport, _path(job), query)

    def metrics(self, job: str | Job, *, after: str | None = None) -> Iterator[EpochMetrics]:
        """Loss and validation figures of every epoch, oldest first; `after` is the last row's id."""
        rows = self._transport.pages(f"{_path(job)}/metrics", params={"limit": 100, "after": after})
        return map(EpochMetrics.from_json, rows)

    @overload
    def report(self, job: str | Job, *, format: Literal["json"] = "json") -> dict[str, Any]: ...
    @overload
    def report(self, job: str | Job, *, format: Literal["html", "md"]) -> str: ...
    def report(
        self, job: str | Job, *, format: Literal["json", "html", "md"] = "json"
    ) -> dict[str, Any] | str:
        """The comparison of the arms: clean figures, figures under attack, baselines.

        `html` is one page with its figures, which needs nothing else; `md` is Markdown.
        """
        path, query = f"{_path(job)}/report", {"format": format}
        if format == "json":
            return self._transport.json("GET", path, params=query)
        return self._transport.text(path, params=query, accept="*/*")

    def report_markdown(self, job: str | Job) -> str:
        """The report as Markdown."""
        return self.report(job, format="md")

    def manifest(self, job: str | Job) -> dict[str, Any]:
        """What the job was made of and what it made, by hash; `steadyrank train --from-manifest` reads it."""
        return self._transport.json("GET", f"{_path(job)}/manifest")

    def figures(self, job: str | Job) -> tuple[str, ...]:
        """Names of the report's figures."""
        return tuple(str(row["id"]) for row in self._transport.pages(f"{_path(job)}/figures"))

    def figure(self, job: str | Job, name: str) -> str:
        """One of them, as SVG."""
        return self._transport.text(f"{_path(job)}/figures/{quote(name, safe='')}.svg", accept="*/*")

    def checkpoints(self, job: str | Job) -> Iterator[Checkpoint]:
        """The training states that are kept."""
        return map(Checkpoint.from_json, self._transport.pages(f"{_path(job)}/checkpoints"))

    def checkpoint(self, checkpoint: str | Checkpoint) -> Checkpoint:
        """One of them."""
        return Checkpoint.from_json(self._transport.json("GET", f"/v1/checkpoints/{id_of(checkpoint)}"))

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

    def wait(
        self,
        job: str | Job,
        callback: Callable[[Job], None] | None = None,
        *,
        timeout: float | None = None,
        interval: float = 1.0,
        outage: float = 120.0,
    ) -> Job:
        """Wait until a job has ended, well or not, and return it: look at `status`, `error`, `models`.

        Args:
            job: The job or its id.
            callback: Called with the job at every look; what it raises ends the waiting, not the job.
            timeout: Seconds to wait (WaitTimeoutError), None for as long as it takes.
            interval: Seconds between two looks; without a callback the service answers when there is news.
            outage: Seconds that the service may be unreachable meanwhile, such as during its restart.

        """
        started = heard = time.monotonic()
        while True:
            left = _LONG_POLL if timeout is None else started + timeout - time.monotonic()
            try:
                found = self.get(job, wait=0.0 if callback else min(left, _LONG_POLL))
            except (ServiceUnreachableError, ServerError, RateLimitedError) as down:
                if time.monotonic() - heard > outage:
                    raise
                self._transport.sleep(max(interval, getattr(down, "retry_after", None) or 0.0))
                continue
            heard = time.monotonic()
            if callback:
                callback(found)
            if found.is_terminal:
                return found
            if timeout is not None and time.monotonic() - started + interval > timeout:
                raise WaitTimeoutError(f"job {found.id} is still {found.status} after {timeout:g} s")
            self._transport.sleep(interval)


def _path(job: str | Job) -> str:
    return f"/v1/jobs/{id_of(job)}"
