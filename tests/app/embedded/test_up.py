"""What `steadyrank up` says of addresses that cannot be used: one line, a hint, no password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config import get_settings
from app.embedded.up import FAILED, up

PASSWORD = "hunter2%40x"


@pytest.fixture(autouse=True)
def _settings_are_read_anew() -> Iterator[None]:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("database", "broker", "said"),
    [
        ("mysql://sr:{}@h/d", "redis://:{}@127.0.0.1:1/0", "DATABASE_URL: must be a Postgres address"),
        ("postgresql://sr:{}@127.0.0.1:1/d", "redis://:{}@h:x/0", "REDIS_URL: must be a Redis address"),
        ("postgresql://sr:{}@127.0.0.1:1/d", "redis://:{}@127.0.0.1:1/0", "The database that DATABASE_URL"),
        (None, "redis://:{}@127.0.0.1:1/0", "The broker that REDIS_URL names cannot be used"),
    ],
)
def test_addresses_that_cannot_be_used(
    database: str | None,
    broker: str,
    said: str,
    *,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url if database is None else database.format(PASSWORD))
    monkeypatch.setenv("REDIS_URL", broker.format(PASSWORD))
    assert up(tmp_path / "data", port=0, workers=0) == FAILED
    output = capsys.readouterr().out
    assert said in output
    assert "hunter2" not in output
    assert "Traceback" not in output
