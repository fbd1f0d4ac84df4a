"""Evaluations of stored models: ask for one, wait, read its report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
from typing import Unpack, cast

from app.sdk.answers.deletions import EvaluationDeleted
from app.sdk.objects.datasets import Dataset
from app.sdk.objects.fields import JSON, id_in_path, id_of, read_time
from app.sdk.objects.models import Model
from app.sdk.reports import EvaluationReport
from app.sdk.settings import EvaluationSettings
from app.sdk.transport import Transport
from app.sdk.waiting import wait_for_end


@dataclass(frozen=True)
class Evaluation:
    """A stored model measured on a data set; `status` is queued, running, cancelling or an end.

    metrics: clean test figures once it has succeeded. warnings: what bounds them.
    """

    id: str
    name: str | None
    status: str
    phase: str | None
    progress: float
    model: str
    model_facts: JSON
    dataset: str
    metrics: JSON
    protocol_hash: str | None
    warnings: tuple[JSON, ...]
    error: JSON | None
    created_at: datetime | None
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> Evaluation:
        """Read the service's object."""
        return cls(
            id=str(body["id"]),
            name=body.get("name"),
            status=str(body.get("status") or ""),
            phase=body.get("phase"),
            progress=float(body.get("progress") or 0.0),
            model=str(body.get("model") or ""),
            model_facts=dict(body.get("model_facts") or {}),
            dataset=str(body.get("dataset") or ""),
            metrics=dict(body.get("metrics") or {}),
            protocol_hash=body.get("protocol_hash"),
            warnings=tuple(body.get("warnings") or ()),
            error=body.get("error"),
            created_at=read_time(body.get("created_at")),
            raw=body,
        )


class Evaluations:
    """`client.evaluations`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        model: str | Model,
        dataset: str | Dataset,
        *,
        name: str | None = None,
        idempotency_key: str | None = None,
        **settings: Unpack[EvaluationSettings],
    ) -> Evaluation:
        """Measure a model (its id, `name@alias`, …) on a data set, in the background.

        `settings` are those of data and evaluation (`split`, `attack_positions`, `exclude_seen`, …); what is
        left out is as in the model's job. The same `idempotency_key` gives the same evaluation, as in
        `client.jobs.create`.
        """
        body = {
            "model": id_of(model),
            "dataset": id_of(dataset),
            **({} if name is None else {"name": name}),
            **settings,
        }
        made = self._transport.json("POST", "/v1/evaluations", body=body, idempotency_key=idempotency_key)
        return Evaluation.from_json(made)

    def list(
        self,
        *,
        model: str | Model | None = None,
        dataset: str | Dataset | None = None,
        status: str | None = None,
        page_size: int | None = None,
    ) -> Iterator[Evaluation]:
        """All evaluations, or those of a model's id, a data set or a state, newest first."""
        query = {
            "limit": page_size,
            "model": model.id if isinstance(model, Model) else model,
            "dataset": dataset.id if isinstance(dataset, Dataset) else dataset,
            "status": status,
        }
        return map(Evaluation.from_json, self._transport.pages("/v1/evaluations", params=query))

    def get(self, evaluation: str | Evaluation) -> Evaluation:
        """One evaluation as it is now."""
        return Evaluation.from_json(self._transport.json("GET", _path(evaluation)))

    def wait(
        self,
        evaluation: str | Evaluation,
        *,
        timeout: float | None = None,
        interval: float = 1.0,
        outage: float = 120.0,
        on_progress: Callable[[Evaluation], None] | None = None,
    ) -> Evaluation:
        """Wait until it has ended, well or not; WaitTimeoutError after `timeout` seconds.

        `outage` is how many seconds the service may be away meanwhile.
        """
        return wait_for_end(
            self._transport,
            _path(evaluation),
            Evaluation.from_json,
            what=f"evaluation {id_of(evaluation)}",
            pauses=repeat(interval),
            timeout=timeout,
            outage=outage,
            told=on_progress,
        )

    def report(self, evaluation: str | Evaluation) -> EvaluationReport:
        """All of its figures. ConflictError (`report_not_ready`) before it has succeeded."""
        return cast("EvaluationReport", self._transport.json("GET", f"{_path(evaluation)}/report"))

    def report_markdown(self, evaluation: str | Evaluation) -> str:
        """The same as a page to read."""
        return self._transport.text(f"{_path(evaluation)}/report", "text/markdown")

    def cancel(self, evaluation: str | Evaluation) -> Evaluation:
        """Cancel it: at once when queued, within moments when running."""
        return Evaluation.from_json(self._transport.json("POST", f"{_path(evaluation)}/cancel"))

    def delete(self, evaluation: str | Evaluation) -> EvaluationDeleted:
        """Delete it, also one that runs; says how many bytes came free."""
        return cast("EvaluationDeleted", self._transport.json("DELETE", _path(evaluation)))


def _path(evaluation: str | Evaluation) -> str:
    return f"/v1/evaluations/{id_in_path(evaluation)}"
