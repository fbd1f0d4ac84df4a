from __future__ import annotations

import json
import logging
import socket
import time
from types import SimpleNamespace

import pytest
import redis
from kombu.exceptions import OperationalError

from app.config import Settings
from app.db.session import Message
from app.queue import CeleryQueue, make_celery
from app.task_names import LIGHT_QUEUE, TRAIN_QUEUE


def test_messages_carry_ids_to_their_queue(broker_url: str) -> None:
    celery = make_celery(Settings(redis_url=broker_url))
    queue = CeleryQueue(celery)
    queue.ping()
    queue.send(Message("steadyrank.run_job", ("job_1",), TRAIN_QUEUE))
    queue.send(Message("steadyrank.validate_dataset", ("ds_1",), LIGHT_QUEUE))
    celery.close()
    client = redis.Redis.from_url(broker_url)
    for name, task, identity in (
        ("train", "steadyrank.run_job", "job_1"),
        ("light", "steadyrank.validate_dataset", "ds_1"),
    ):
        message = json.loads(client.lindex(name, 0))
        assert message["headers"]["task"] == task
        assert identity in message["headers"]["argsrepr"]
    client.close()


def test_a_broker_that_is_down_is_logged_and_soon(caplog: pytest.LogCaptureFixture) -> None:
    celery = make_celery(Settings(redis_url="redis://127.0.0.1:1/0"))
    queue = CeleryQueue(celery)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, "app.queue"):
        queue.send(Message("steadyrank.run_job", ("job_1",), TRAIN_QUEUE))
    assert time.monotonic() - began < 9
    assert "job_1" in caplog.text
    with pytest.raises(OperationalError):
        queue.ping()
    celery.close()


def test_a_broker_that_took_no_message_is_left_alone_for_a_while(
    broker_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    celery = make_celery(Settings(redis_url="redis://127.0.0.1:1/0"))
    queue = CeleryQueue(celery)
    messages = [Message("steadyrank.run_job", (f"job_{n}",), TRAIN_QUEUE) for n in range(20)]
    with caplog.at_level(logging.WARNING, "app.queue"):
        for message in messages:
            queue.send(message)
        assert len(caplog.records) == 1
        later = time.monotonic() + 6
        monkeypatch.setattr("app.queue.time", SimpleNamespace(monotonic=lambda: later))
        queue.send(messages[1])
    assert [record.args[1] for record in caplog.records if record.args] == [("job_0",), ("job_1",)]
    celery.close()


def test_a_broker_that_hangs_is_soon_told_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        celery = make_celery(Settings(redis_url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0"))
        began = time.monotonic()
        with pytest.raises(OperationalError):
            CeleryQueue(celery).ping()
        assert time.monotonic() - began < 9
        celery.close()
