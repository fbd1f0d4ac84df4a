"""A real receiver, and a deliverer over the test's database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, update

from app.config import Settings
from app.db.models.dataset import Dataset
from app.db.models.webhook_delivery import WebhookDelivery
from app.db.models.webhook_endpoint import WebhookEndpoint
from app.db.session import Database
from app.sdk.client import SteadyRank
from app.storage.database import DatabaseBlobStore
from app.webhooks.deliverer import Deliverer
from app.webhooks.signing import new_secret
from tests.factories import make_job, make_ready_dataset


@dataclass
class Received:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """An HTTP server that answers as it is told; the last answer stays."""

    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=lambda: [(204, {}, b"")])
    received: list[Received] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    """While it is not set, requests are taken but not answered."""
    url: str = ""

    def answer(self, *statuses: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.answers[:] = [(status, headers or {}, body) for status in statuses]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    made.held.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.received.append(Received(self.path, dict(self.headers), body))
            assert made.held.wait(60)
            status, headers, answer = made.answers.pop(0) if len(made.answers) > 1 else made.answers[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A sender that was killed is part of the tests."""

    with Server(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield made
        made.held.set()
        server.shutdown()
        thread.join()


@dataclass
class Post:
    """Endpoints of a job's project, the job, and what is sent for them."""

    database: Database
    settings: Settings
    project_id: str
    dataset_id: str

    def endpoint(self, url: str, *events: str, project_id: str | None = None) -> tuple[str, str]:
        """Register; returns the id and the secret."""
        secret = new_secret()
        with self.database.unit_of_work() as session:
            row = WebhookEndpoint(
                project_id=project_id or self.project_id,
                url=url,
                events=list(events or ("*",)),
                secret=secret,
            )
            session.add(row)
            session.flush()
            return row.id, secret

    def submit(self) -> str:
        with self.database.unit_of_work() as session:
            return make_job(session, session.get_one(Dataset, self.dataset_id)).id

    def deliver(self, **changed: Any) -> int:
        """Send all that is due; returns how many attempts that were."""
        settings = self.settings.model_copy(update=changed)
        deliverer, count = Deliverer(self.database, settings), 0
        while (claimed := deliverer.claim()) is not None:
            deliverer.deliver(claimed)
            count += 1
        return count

    def deliveries(self, *types: str) -> list[WebhookDelivery]:
        statement = select(WebhookDelivery).order_by(WebhookDelivery.id)
        if types:
            statement = statement.where(WebhookDelivery.type.in_(types))
        with self.database.unit_of_work() as session:
            return list(session.execute(statement).scalars())

    def endpoint_row(self, endpoint_id: str) -> WebhookEndpoint:
        with self.database.unit_of_work() as session:
            return session.get_one(WebhookEndpoint, endpoint_id)

    def make_due(self, **values: Any) -> None:
        """Let all waits be over."""
        with self.database.unit_of_work() as session:
            session.execute(
                update(WebhookDelivery)
                .where(WebhookDelivery.status == "pending")
                .values(next_attempt_at=func.now(), **values)
            )


@pytest.fixture
def private(settings: Settings) -> Settings:
    """Settings of an operator who allows receivers on this machine."""
    return settings.model_copy(update={"webhook_allow_private": True, "webhook_timeout_seconds": 5.0})


@pytest.fixture
def post(database: Database, blobs: DatabaseBlobStore, private: Settings) -> Post:
    with database.unit_of_work() as session:
        dataset = make_ready_dataset(session, blobs)
        return Post(database, private, dataset.project_id, dataset.id)


@pytest.fixture
def service(application: FastAPI, private: Settings, service_url: str, api_key: str) -> Iterator[SteadyRank]:
    """The SDK, on a real service that allows private receivers."""
    application.state.settings, before = private, application.state.settings
    with SteadyRank(service_url, api_key, max_retries=0) as made:
        yield made
    application.state.settings = before
