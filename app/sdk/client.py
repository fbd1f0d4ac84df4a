"""The client: `SteadyRank()` finds the service on this machine, or the one that you name.

from app.sdk.client import SteadyRank

client = SteadyRank()
dataset = client.datasets.upload("log.csv")
job = client.jobs.wait(client.jobs.create(dataset, epochs=50))
client.models.download(job.models[0], "model/")
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Literal, Self, cast, overload

import httpx

from app.sdk.answers.health import Health, Readiness
from app.sdk.comparisons import Comparison, compare, query_of
from app.sdk.datasets import Datasets
from app.sdk.discovery import discover
from app.sdk.evaluations import Evaluation, Evaluations
from app.sdk.jobs import Jobs
from app.sdk.keys import ApiKeys
from app.sdk.models import Models
from app.sdk.objects.capabilities import Capabilities
from app.sdk.objects.jobs import Job
from app.sdk.objects.models import Model
from app.sdk.projects import Projects, Usage
from app.sdk.transport import Transport
from app.sdk.uploads import Uploads
from app.sdk.webhook_endpoints import WebhookEndpoints


class SteadyRank:
    """A client of one SteadyRank service; close it, or use it in a `with`.

    Args:
        base_url: The service's address. Left out: STEADYRANK_URL, then the service on this machine.
        api_key: The key. Left out: STEADYRANK_API_KEY, then the key of the service on this machine.
        timeout: Seconds that a read or write may take.
        max_retries: Tries after the first, for what may safely be sent again.
        transport: An httpx transport in place of the network.
        sleep: Waits between tries, in place of time.sleep.

    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 60.0,
        max_retries: int = 4,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        connection = discover(base_url, api_key)
        self._transport = Transport(
            connection, timeout=timeout, max_retries=max_retries, http=transport, sleep=sleep
        )
        self.base_url = connection.base_url
        self.uploads = Uploads(self._transport)
        self.datasets = Datasets(self._transport)
        self.jobs = Jobs(self._transport)
        self.models = Models(self._transport)
        self.evaluations = Evaluations(self._transport)
        self.webhook_endpoints = WebhookEndpoints(self._transport)
        self.api_keys = ApiKeys(self._transport)
        self.projects = Projects(self._transport)

    @overload
    def compare(
        self,
        jobs: Sequence[str | Job] = ...,
        *,
        models: Sequence[str | Model] = ...,
        evaluations: Sequence[str | Evaluation] = ...,
        arm: str | None = ...,
        baseline: str | None = ...,
        allow_mixed: bool = ...,
        format: Literal["json"] = "json",
    ) -> Comparison: ...
    @overload
    def compare(
        self,
        jobs: Sequence[str | Job] = ...,
        *,
        models: Sequence[str | Model] = ...,
        evaluations: Sequence[str | Evaluation] = ...,
        arm: str | None = ...,
        baseline: str | None = ...,
        allow_mixed: bool = ...,
        format: Literal["md"],
    ) -> str: ...
    def compare(
        self,
        jobs: Sequence[str | Job] = (),
        *,
        models: Sequence[str | Model] = (),
        evaluations: Sequence[str | Evaluation] = (),
        arm: str | None = None,
        baseline: str | None = None,
        allow_mixed: bool = False,
        format: Literal["json", "md"] = "json",
    ) -> Comparison | str:
        """Compare 2 to 10 jobs, models or evaluations user by user; the first is the baseline.

        `md` is Markdown, as a table for people. ConflictError (`mixed_protocol`) when they were not measured
        alike, unless `allow_mixed`.
        """
        query = query_of(
            jobs, models, evaluations, arm=arm, baseline=baseline, allow_mixed=allow_mixed or None
        )
        if format == "md":
            return self._transport.text("/v1/compare", "text/markdown", params={**query, "format": "md"})
        return compare(self._transport, query)

    def capabilities(self) -> Capabilities:
        """Models, training settings as JSON Schema, attacks, limits, devices."""
        return Capabilities.from_json(self._transport.json("GET", "/v1/capabilities"))

    def usage(self) -> Usage:
        """What the key's project uses, its limits, and when they are counted anew."""
        return Usage.from_json(self._transport.json("GET", "/v1/usage"))

    def metrics(self) -> str:
        """The service's figures in Prometheus' text format; needs a key with the scope `operator`."""
        return self._transport.text("/metrics", "text/plain")

    def alive(self) -> Health:
        """Whether the API process answers, whatever its database does; needs no key."""
        return cast("Health", self._transport.json("GET", "/healthz"))

    def health(self) -> Readiness:
        """Whether the service and what it depends on are up; ServiceUnavailableError names what is down."""
        return cast("Readiness", self._transport.json("GET", "/readyz"))

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        """Use it in a `with`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def __repr__(self) -> str:
        """Show the address, never the key."""
        return f"SteadyRank({self.base_url!r})"
