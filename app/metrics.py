"""Figures for Prometheus: requests as this process saw them, and the state of the installation.

The state is read from the database when it is asked for, at most every few seconds: several API processes
then say the same, and a process that has just started knows everything.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool
from starlette.types import Scope

from app.db.session import AWAY, Database
from app.problems import problem_responses
from app.route_templates import route_of

router = APIRouter(tags=["health"])

logger = logging.getLogger(__name__)

KEPT_SECONDS = 5.0
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
_EXAMPLE = '# TYPE steadyrank_jobs gauge\nsteadyrank_jobs{status="queued"} 3.0\n'
_SHOWN: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}}}
}

# name, what it is, label, statement of rows (label, value); without a label the rows have the value alone
_QUERIES: tuple[tuple[str, str, str | None, str], ...] = (
    (
        "steadyrank_jobs",
        "Jobs by status.",
        "status",
        "SELECT status, count(*) FROM jobs GROUP BY 1",
    ),
    (
        "steadyrank_queue_age_seconds",
        "How long the oldest work of a queue has waited; 0 when nothing waits.",
        "queue",
        "SELECT queue, coalesce(extract(epoch FROM clock_timestamp() - min(since)), 0) FROM ("
        "SELECT 'train' AS queue, queued_at AS since FROM jobs WHERE status = 'queued'"
        " UNION ALL SELECT 'light', created_at FROM batch_recommendations WHERE status = 'queued'"
        " UNION ALL SELECT 'measure', created_at FROM evaluations WHERE status = 'queued'"
        " UNION ALL SELECT 'light', created_at FROM datasets"
        " WHERE status = 'validating' AND lease_until IS NULL) AS waiting GROUP BY 1",
    ),
    (
        "steadyrank_workers",
        "Workers seen in the last 20 seconds, by queue.",
        "queue",
        "SELECT queue, count(*) FILTER (WHERE seen_at > clock_timestamp() - interval '20 seconds')"
        " FROM workers GROUP BY 1",
    ),
    (
        "steadyrank_epoch_seconds",
        "Seconds that the latest epochs of running jobs took: their mean and the longest.",
        "of",
        "WITH latest AS (SELECT DISTINCT ON (jobs.id) metrics.seconds FROM jobs"
        " JOIN job_metrics AS metrics ON metrics.job_id = jobs.id WHERE jobs.status = 'running'"
        " ORDER BY jobs.id, metrics.position DESC)"
        " SELECT 'mean', coalesce(avg(seconds), 0) FROM latest"
        " UNION ALL SELECT 'longest', coalesce(max(seconds), 0) FROM latest",
    ),
    (
        "steadyrank_targets_per_second",
        "Targets that running jobs train on in a second, all together.",
        None,
        "SELECT coalesce(sum((progress->>'examples_per_second')::float8), 0) FROM jobs"
        " WHERE status = 'running'",
    ),
    (
        "steadyrank_blob_bytes",
        "Stored bytes of data sets, checkpoints, models and reports.",
        None,
        "SELECT coalesce(sum(size), 0) FROM blobs",
    ),
    (
        "steadyrank_webhook_deliveries",
        "Webhook deliveries in the log; `retrying` has failed at least once, `failed` was given up.",
        "status",
        "SELECT CASE WHEN status = 'pending' AND attempt > 0 THEN 'retrying' ELSE status END, count(*)"
        " FROM webhook_deliveries GROUP BY 1",
    ),
)
_ALWAYS = {
    "steadyrank_jobs": ("queued", "running", "paused", "succeeded", "failed", "cancelled"),
    "steadyrank_queue_age_seconds": ("train", "light", "measure"),
    "steadyrank_workers": ("train", "light", "measure"),
    "steadyrank_webhook_deliveries": ("pending", "retrying", "succeeded", "failed"),
}


class Metrics:
    """One application's figures.

    Args:
        database: Whose state is told.

    """

    def __init__(self, database: Database) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_State(database))
        self._requests = Counter(
            "steadyrank_http_requests",
            "Requests answered by this process.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "steadyrank_http_request_seconds",
            "Seconds from a request's first byte to the end of its answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one request, by its route's template: a path has ids, of which there is no end."""
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = route_of(scope)
        self._requests.labels(method, route, str(status or "cut")).inc()
        self._seconds.labels(method, route).observe(seconds)


class _State(Collector):
    """What the database says, kept for some seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._kept: list[Metric] = []
        self._until = 0.0

    def describe(self) -> Iterable[Metric]:
        """Nothing: asking the database when the application is made would be too early."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The figures; without a database, that it is down."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._kept = list(self._read())
                self._until = time.monotonic() + KEPT_SECONDS
            yield from self._kept
        yield from self._pool()

    def _read(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("steadyrank_database_up", "Whether the database answers.")
        try:
            found = list(self._queried())
        except AWAY:
            up.add_metric((), 0)
            yield up
            return
        except SQLAlchemyError:
            # It answers, but has not the tables that are asked for; the process's own figures are shown.
            logger.exception("the database's figures cannot be read")
            found = []
        up.add_metric((), 1)
        yield up
        yield from found

    def _queried(self) -> Iterator[Metric]:
        with self._database.engine.connect() as connection:
            for name, what, label, statement in _QUERIES:
                family = GaugeMetricFamily(name, what, labels=(label,) if label else ())
                rows = [tuple(row) for row in connection.execute(text(statement))]
                values = {str(row[0]): row[-1] for row in rows} if label else {}
                for value in dict.fromkeys((*_ALWAYS.get(name, ()), *values)):
                    family.add_metric((value,), float(values.get(value, 0)))
                if not label:
                    family.add_metric((), float(rows[0][0]))
                yield family

    def _pool(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "steadyrank_database_connections", "This process's pool.", labels=("state",)
        )
        pool = self._database.engine.pool
        if isinstance(pool, QueuePool):
            family.add_metric(("in_use",), pool.checkedout())
            family.add_metric(("idle",), pool.checkedin())
            family.add_metric(("most",), self._database.capacity)
        yield family


@router.get("/metrics", response_class=Response, responses={**_SHOWN, **problem_responses()})
def get_metrics(request: Request) -> Response:
    """Show figures for Prometheus; takes a key with the scope `operator`, or none if the settings say so."""
    metrics: Metrics = request.app.state.metrics
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)
