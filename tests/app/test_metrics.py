"""Figures for Prometheus: who may see them, what they say of the state, and requests by route."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import null, update

from app import metrics
from app.accounts.service import create_key
from app.config import Settings
from app.db.models.job import Job
from app.db.models.job_metric import JobMetric
from app.db.models.webhook_delivery import WebhookDelivery
from app.db.models.webhook_endpoint import WebhookEndpoint
from app.db.models.worker import Worker
from app.db.session import Database
from app.jobs.claims import claim
from app.main import create_app
from app.storage.database import DatabaseBlobStore
from tests.factories import make_dataset, make_job, make_ready_dataset
from tests.serving import served


def figures(text: str) -> dict[tuple[str, ...], float]:
    """Values by name and labels, in the labels' order of name."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "KEPT_SECONDS", 0.0)


def test_only_an_operator_sees_them(
    anonymous: httpx.Client, client: httpx.Client, database: Database
) -> None:
    assert anonymous.get("/metrics").status_code == 401
    assert client.get("/metrics").json()["needed_scope"] == "operator"
    with database.unit_of_work() as session:
        secret = create_key(session, name="prometheus", scopes=["operator"])[1]
    answer = anonymous.get("/metrics", headers={"Authorization": f"Bearer {secret}"})
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/plain")
    assert figures(answer.text)["steadyrank_database_up",] == 1


def test_the_state_is_told(settings: Settings, database: Database, blobs: DatabaseBlobStore) -> None:
    with database.unit_of_work() as session:
        dataset = make_ready_dataset(session, blobs)
        running, waiting = make_job(session, dataset), make_job(session, dataset)
        make_dataset(session, blobs)
        session.add(Worker(id="w@host/train", queue="train", versions={}))
        session.add(
            Worker(id="gone@host/train", queue="train", versions={}, seen_at=datetime(2026, 1, 1, tzinfo=UTC))
        )
        now = datetime.now(UTC)
        endpoint = WebhookEndpoint(
            id="we_1",
            project_id=running.project_id,
            url="https://a.example",
            events=["job.failed"],
            secret="whsec_x",
        )
        session.add(endpoint)
        session.flush()
        for number, (status, attempt) in enumerate(
            [("pending", 0), ("pending", 2), ("failed", 8), ("failed", 8), ("failed", 8)]
        ):
            session.add(
                WebhookDelivery(
                    id=f"dlv_{number}",
                    endpoint_id="we_1",
                    event_id=f"evt_{number}",
                    type="job.failed",
                    body="{}",
                    status=status,
                    attempt=attempt,
                    next_attempt_at=now if status == "pending" else null(),  # None would be the default
                    ended_at=None if status == "pending" else now,
                )
            )
    with database.unit_of_work() as session:
        assert claim(session, running.id, worker="w@host", lease=timedelta(seconds=30))
        session.get_one(Job, running.id).progress = {"examples_per_second": 250.0}
        for epoch, seconds in enumerate((9.0, 2.5)):  # the latest of a job counts
            took = {"loss": 0.5, "seconds": seconds, "attempt": 1}
            session.add(JobMetric(job_id=running.id, arm="standard", seed=0, epoch=epoch, **took))
            session.flush()
        long_ago = Job.queued_at - timedelta(seconds=90)
        session.execute(update(Job).where(Job.id == waiting.id).values(queued_at=long_ago))
    application = create_app(settings.model_copy(update={"metrics_public": True}))
    with served(application) as url, httpx.Client(base_url=url, timeout=30) as visitor:
        assert visitor.get(f"/v1/jobs/{waiting.id}").status_code == 401
        assert visitor.get("/healthz").status_code == 200
        assert visitor.get("/nothing/here").status_code == 404
        found = figures(visitor.get("/metrics").text)
    assert found["steadyrank_jobs", "queued"] == found["steadyrank_jobs", "running"] == 1
    assert found["steadyrank_jobs", "failed"] == 0
    assert 90 <= found["steadyrank_queue_age_seconds", "train"] < 150
    assert 0 < found["steadyrank_queue_age_seconds", "light"] < 60
    assert found["steadyrank_targets_per_second",] == 250
    assert found["steadyrank_epoch_seconds", "mean"] == found["steadyrank_epoch_seconds", "longest"] == 2.5
    assert found["steadyrank_blob_bytes",] > 100
    assert found["steadyrank_workers", "train"] == 1
    assert found["steadyrank_workers", "measure"] == 0
    deliveries = {
        status: found["steadyrank_webhook_deliveries", status] for status in ("pending", "retrying", "failed")
    }
    assert deliveries == {"pending": 1, "retrying": 1, "failed": 3}
    assert found["steadyrank_http_requests_total", "GET", "/healthz", "200"] == 1
    assert found["steadyrank_http_requests_total", "GET", "none", "404"] == 1
    assert found["steadyrank_http_request_seconds_count", "GET", "/healthz"] == 1
    assert (
        found["steadyrank_database_connections", "most"] > found["steadyrank_database_connections", "in_use"]
    )


def test_routes_are_templates(client: httpx.Client, application: FastAPI) -> None:
    client.get("/v1/jobs/job_x")
    client.get("/v1/models/mdl_x/files/b.json")
    routes = {
        sample.labels["route"]
        for family in application.state.metrics.registry.collect()
        if family.name == "steadyrank_http_requests"
        for sample in family.samples
    }
    assert {"/v1/jobs/{job_id}", "/v1/models/{model_id}/files/{path}"} <= {
        route.replace(":path}", "}") for route in routes
    }
    assert not any("job_x" in route for route in routes)


def test_without_a_database_they_say_so() -> None:
    nowhere = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    found = {family.name: family for family in metrics.Metrics(nowhere).registry.collect()}
    assert found["steadyrank_database_up"].samples[0].value == 0
    assert "steadyrank_jobs" not in found
    nowhere.dispose()


def test_tables_that_are_not_there_yet_cost_only_their_own_figures(
    anonymous: httpx.Client,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with database.unit_of_work() as session:
        _, secret = create_key(session, name="prometheus", scopes=["operator"])
    query = "SELECT count(*) FROM no_such_table"
    monkeypatch.setattr("app.metrics._QUERIES", (("steadyrank_broken", "Broken.", None, query),))
    answer = anonymous.get("/metrics", headers={"Authorization": f"Bearer {secret}"})
    assert (answer.status_code, "steadyrank_database_up 1.0" in answer.text) == (200, True)
    assert "no_such_table" in caplog.text
