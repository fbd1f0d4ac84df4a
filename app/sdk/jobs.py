"""Jobs: train the arms of a comparison on a data set, steer them, wait for their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import repeat
from typing import Any, Literal, Unpack, cast

from app.sdk.answers.deletions import JobDeleted
from app.sdk.job_records import JobRecords, path_of
from app.sdk.objects.datasets import Dataset
from app.sdk.objects.estimates import JobValidation
from app.sdk.objects.fields import id_of
from app.sdk.objects.jobs import Job
from app.sdk.settings import JobSettings
from app.sdk.waiting import wait_for_end

_LONG_POLL = 30.0


class Jobs(JobRecords):
    """`client.jobs`."""

    def create(
        self,
        dataset: str | Dataset,
        *,
        idempotency_key: str | None = None,
        **settings: Unpack[JobSettings],
    ) -> Job:
        """Submit a training job; `settings` are the training settings by name (`client.capabilities()`).

        `client.jobs.create("ds_…")` is a full job. ValidationFailedError points at each wrong setting,
        DatasetNotReadyError says that the data set is still being read or was rejected. Called again with
        the same `idempotency_key`, for a day, it gives the first call's job, as it was then;
        ValidationFailedError (`idempotency_key_reused`) where anything else differs.
        """
        body = {"dataset": id_of(dataset), **settings}
        made = self._transport.json("POST", "/v1/jobs", body=body, idempotency_key=idempotency_key)
        return Job.from_json(made)

    def validate(
        self,
        dataset: str | Dataset,
        *,
        estimate: Literal["probe"] | None = None,
        **settings: Unpack[JobSettings],
    ) -> JobValidation:
        """Check a job without submitting it: every setting as it would be run, and an estimate.

        `estimate="probe"` has a worker time a few steps first (25 s at most); its `basis` says if one did.
        """
        body = {"dataset": id_of(dataset), **settings}
        query = {"validate_only": "true", "estimate": estimate}
        found = self._transport.json("POST", "/v1/jobs", params=query, body=body, repeatable=True)
        return JobValidation.from_json(found)

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
        return Job.from_json(self._transport.json("GET", path_of(job), params=query))

    def cancel(self, job: str | Job) -> Job:
        """Cancel it: at once when queued, within a few batches when running. A second cancel is refused."""
        return Job.from_json(self._transport.json("POST", f"{path_of(job)}/cancel"))

    def pause(self, job: str | Job) -> Job:
        """Pause it: at once when queued, within a few batches when running; its progress is saved."""
        return Job.from_json(self._transport.json("POST", f"{path_of(job)}/pause"))

    def resume(self, job: str | Job) -> Job:
        """Queue a paused job again; it goes on where it was paused."""
        return Job.from_json(self._transport.json("POST", f"{path_of(job)}/resume"))

    def retry(self, job: str | Job) -> Job:
        """Queue a failed or cancelled job again; it goes on from its last checkpoint."""
        return Job.from_json(self._transport.json("POST", f"{path_of(job)}/retry"))

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
        return Job.from_json(self._transport.json("PATCH", path_of(job), body=body))

    def delete(self, job: str | Job, *, models: bool = False) -> JobDeleted:
        """Delete a finished job, and its models too when `models`; says how many bytes came free."""
        query = {"models": "true" if models else None}
        return cast("JobDeleted", self._transport.json("DELETE", path_of(job), params=query))

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
        return wait_for_end(
            self._transport,
            path_of(job),
            Job.from_json,
            what=f"job {id_of(job)}",
            pauses=repeat(interval),
            timeout=timeout,
            outage=outage,
            told=callback,
            long_poll=0.0 if callback else _LONG_POLL,
        )
