"""Requests of a key are counted by kind, refused with a time to wait, and pass when the broker is away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest
import redis

import app.rate_limits
from app.accounts.service import create_key
from app.config import Settings
from app.db.session import Database
from app.main import create_app
from app.rate_limits import Buckets
from tests.serving import served


@pytest.fixture
def limited(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where an application is served that lets 3 reads and 2 writes a minute pass."""
    monkeypatch.setattr(app.rate_limits, "_PATIENCE_SECONDS", 60.0)  # none is let through uncounted
    monkeypatch.setattr("app.rate_limits._AWAY_SECONDS", 300.0)
    few = {"read_requests_per_minute": 3, "write_requests_per_minute": 2}
    with served(create_app(settings.model_copy(update=few))) as url:
        yield url


def test_reads_and_writes_are_counted_by_key(limited: str, api_key: str, database: Database) -> None:
    with database.unit_of_work() as session:
        other = create_key(session, name="other")[1]
    headers = {"Authorization": f"Bearer {api_key}"}
    with httpx.Client(base_url=limited, headers=headers, timeout=30) as client:
        answers = [client.get("/v1/datasets") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        first, last = answers[0], answers[-1]
        assert first.headers["ratelimit-policy"] == '"read";q=3;w=60'
        assert first.headers["ratelimit"] == '"read";r=2;t=20'
        assert (last.json()["code"], last.json()["retryable"]) == ("rate_limited", True)
        assert 1 <= int(last.headers["retry-after"]) <= 20
        assert last.headers["ratelimit"].startswith('"read";r=0;t=')
        assert last.headers["x-request-id"] == last.json()["request_id"]
        keys = client.get("/v1/api_keys")  # looking, though it needs more than a reader's key
        assert (keys.status_code, keys.headers["ratelimit"][:9]) == (429, '"read";r=')
        writes = [client.delete("/v1/jobs/job_x").status_code for _ in range(3)]
        assert writes == [404, 404, 429]
        assert client.get("/healthz").status_code == 200
        assert client.get("/openapi.json").headers.get("ratelimit") is None
        theirs = client.get("/v1/datasets", headers={"Authorization": f"Bearer {other}"})
        assert (theirs.status_code, theirs.headers["ratelimit"]) == (200, '"read";r=2;t=20')
        wrong = client.get("/v1/datasets", headers={"Authorization": "Bearer sr_wrong"})
        assert (wrong.status_code, "ratelimit" in wrong.headers) == (401, False)


def test_a_bucket_fills_up_evenly(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of six a minute, an empty bucket has two after 25 seconds, and half a one that is none."""
    monkeypatch.setattr(app.rate_limits, "_PATIENCE_SECONDS", 60.0)  # none is let through uncounted

    async def granted(buckets: Buckets, times: int) -> list[bool]:
        taken = [await buckets.take("x", 6) for _ in range(times)]
        return [one is not None and one.granted for one in taken]

    async def use() -> tuple[list[bool], list[bool]]:
        buckets = Buckets(broker_url)
        try:
            at_once = await granted(buckets, 7)
            with redis.Redis.from_url(broker_url) as broker:
                emptied_at = float(broker.hget("steadyrank:rate:x", "at"))
                broker.hset("steadyrank:rate:x", "at", emptied_at - 25)
            return at_once, await granted(buckets, 3)
        finally:
            await buckets.close()

    assert asyncio.run(use()) == ([True] * 6 + [False], [True, True, False])


def test_without_a_broker_everything_passes(
    settings: Settings, api_key: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.rate_limits._AWAY_SECONDS", 300.0)
    few = {"read_requests_per_minute": 1, "redis_url": "redis://127.0.0.1:1/0"}
    with served(create_app(settings.model_copy(update=few))) as url:
        headers = {"Authorization": f"Bearer {api_key}"}
        answers = [httpx.get(f"{url}/v1/datasets", headers=headers, timeout=30) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [record.name for record in caplog.records].count("app.rate_limits") == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"read": 0, "write": 0}),
        ({"read_requests_per_minute": 5}, {"read": 5, "write": 0}),
    ],
)
def test_limits_of_development(given: dict[str, int], expected: dict[str, int]) -> None:
    assert Settings(**given).requests_per_minute == expected


def test_limits_of_production() -> None:
    settings = Settings(
        environment="production",
        database_url="postgresql://a:8u2hf7@host/db",
        redis_url="redis://:j2h3g4@host/0",
        write_requests_per_minute=0,
    )
    assert settings.requests_per_minute == {"read": 6000, "write": 0}
