"""Slow work of requests: a few at once, and whoever comes besides is told to come again."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

import app.webhooks.service
from app.at_once import FewAtOnce
from app.errors import ServiceUnavailable
from tests.problems import problem
from tests.waiting import wait_until


def test_so_many_and_no_more_until_one_has_ended() -> None:
    door = FewAtOnce(2, "things")
    with door.one():
        with door.one(), pytest.raises(ServiceUnavailable, match="Too many things"), door.one():
            pass
        with pytest.raises(ZeroDivisionError), door.one():
            raise ZeroDivisionError
        with door.one():
            pass


def test_name_servers_that_do_not_answer_hold_up_nobody_else(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, asked, lookup = threading.Event(), [], socket.getaddrinfo

    def slow(host: Any, *arguments: Any, **given: Any) -> list[Any]:
        if host != "slow.example":
            return lookup(host, *arguments, **given)
        asked.append(host)
        answered.wait(60)
        return []

    monkeypatch.setattr(app.webhooks.service, "_LOOKING_UP", FewAtOnce(2, "addresses that are looked up"))
    monkeypatch.setattr("socket.getaddrinfo", slow)

    def register() -> httpx.Response:
        body = {"url": "https://slow.example/hook", "events": ["job.succeeded"]}
        return client.post("/v1/webhook_endpoints", json=body, timeout=100)

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(register) for _ in range(2)]
        wait_until(lambda: len(asked) == 2)
        refused = problem(register(), 503, "unavailable")
        assert "looked up" in refused["detail"]
        assert client.get("/v1/jobs").status_code == 200
        answered.set()
        for one in waiting:
            problem(one.result(), 422, "unknown_host")
