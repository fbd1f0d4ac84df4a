"""The processes that send: killed in the middle, several at once, the reaper's threads."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import func, update
from standardwebhooks import Webhook

from app.config import Settings
from app.db.models.webhook_delivery import WebhookDelivery
from app.db.session import Database
from app.jobs import reaper
from app.webhooks.deliverer import Deliverer
from tests.waiting import wait_until
from worker.child_process import as_environment


@pytest.fixture
def started(private: Settings) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts deliverers of their own, killed at the end."""
    settings = private.model_copy(
        update={"webhook_poll_seconds": 0.05, "lease_seconds": 0.5, "webhook_retry_seconds": (1.5, 2.0)}
    )
    settings = settings.model_copy(update={"webhook_timeout_seconds": 30.0})
    running: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "app.webhooks.deliverer"]
        running.append(subprocess.Popen(command, env=as_environment(settings), stderr=subprocess.DEVNULL))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


def test_a_deliverer_that_is_killed_while_it_sends_is_followed_by_another(
    post: Any, receiver: Any, started: Callable[[], subprocess.Popen[bytes]], database: Database
) -> None:
    _, secret = post.endpoint(receiver.url, "job.queued")
    receiver.held.clear()
    first = started()
    post.submit()
    wait_until(lambda: receiver.received)
    first.send_signal(signal.SIGKILL)
    first.wait()
    (row,) = post.deliveries()
    assert (row.status, row.attempt, row.attempts) == ("pending", 1, [])
    receiver.held.set()
    second = started()
    with database.unit_of_work() as session:
        session.execute(update(WebhookDelivery).values(lease_until=func.clock_timestamp()))
    wait_until(lambda: post.deliveries()[0].status == "succeeded")
    one, two = receiver.received
    assert one.headers["webhook-id"] == two.headers["webhook-id"]
    assert one.body == two.body
    assert Webhook(secret).verify(two.body, two.headers)["type"] == "job.queued"
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) == 0


def test_the_reapers_threads_send_and_a_slow_receiver_holds_up_itself_alone(
    post: Any, receiver: Any, private: Settings
) -> None:
    slow, _ = post.endpoint(receiver.url + "/slow", "job.queued")
    receiver.held.clear()
    often = {"webhook_poll_seconds": 0.05, "reaper_seconds": 0.05, "webhook_timeout_seconds": 60.0}
    settings = private.model_copy(update=often)
    stopped = threading.Event()
    thread = threading.Thread(target=reaper.run, args=(settings, stopped))
    thread.start()
    try:
        post.submit()
        wait_until(lambda: receiver.received)
        quick, _ = post.endpoint(receiver.url + "/quick", "job.queued")
        post.submit()  # for both
        wait_until(lambda: [one.path for one in receiver.received].count("/hook/quick") == 1)
        time.sleep(0.3)
        assert [one.path for one in receiver.received].count("/hook/slow") == 1  # one at a time
        receiver.held.set()
        wait_until(lambda: all(row.status == "succeeded" for row in post.deliveries()))
    finally:
        stopped.set()
        thread.join(30)
    assert not thread.is_alive()
    assert {row.endpoint_id for row in post.deliveries()} == {slow, quick}
    assert len(receiver.received) == 3


def test_a_database_that_is_away_is_survived(private: Settings, caplog: pytest.LogCaptureFixture) -> None:
    away = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with caplog.at_level(logging.WARNING):
        assert Deliverer(away, private).claim() is None
    assert "could not look for webhooks" in caplog.text


def test_none_are_sent_where_none_may_be(
    post: Any, receiver: Any, private: Settings, database: Database
) -> None:
    post.endpoint(receiver.url, "job.queued")
    post.submit()
    none = {"webhook_concurrency": 0, "webhook_poll_seconds": 0.01}
    deliverer = Deliverer(database, private.model_copy(update=none))
    deliverer.start()
    assert deliverer._thread.ident is None  # it was never started, not even to look
    deliverer.stop()
    assert receiver.received == []
    assert [(row.status, row.attempt) for row in post.deliveries()] == [("pending", 0)]
