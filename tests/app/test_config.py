from __future__ import annotations

import re

import pytest
from pydantic import ValidationError
from sqlalchemy.engine import make_url

from app.config import Settings, faults_of

STRONG = {"database_url": "postgresql://sr:x9!kfe83@db/sr", "redis_url": "redis://:p83hd73h@cache:6379/0"}


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_any_postgres_scheme_names_the_driver(scheme: str) -> None:
    assert Settings(database_url=f"{scheme}://u:p@h/d").database == "postgresql+psycopg://u:p@h/d"


@pytest.mark.parametrize(
    "rest",
    [
        "h/d",
        "h:5432/d",
        "u@h/d",
        "u:p%40ss@h/d",
        "u:p/ss@h:1/d",
        "[::1]:5432/d",
        "/d?host=/run",
        "u@/d?host=/r",
    ],
)
def test_addresses_that_work_are_taken(rest: str) -> None:
    url = make_url(Settings(database_url=f"postgresql://{rest}").database)
    assert (url.database, url.port) == (
        "d",
        int(re.findall(r":(\d+)/", rest)[0]) if re.search(r":\d+/", rest) else None,
    )


def test_urls_come_without_prefix_and_the_rest_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://u:p@h/d")
    monkeypatch.setenv("REDIS_URL", "unix:///run/v.sock")
    monkeypatch.setenv("STEADYRANK_MAX_UPLOAD_BYTES", "17")
    monkeypatch.setenv("STEADYRANK_CORS_ORIGINS", "https://a.example, https://b.example")
    settings = Settings()
    assert settings.database == "postgresql+psycopg://u:p@h/d"
    assert settings.broker == "redis+socket:///run/v.sock"
    assert settings.max_upload_bytes == 17
    assert settings.cors_origins == ("https://a.example", "https://b.example")


def test_production_takes_real_secrets() -> None:
    assert Settings(environment="production", **STRONG).environment == "production"


@pytest.mark.parametrize(
    "given",
    [
        {"database_url": None},
        {"redis_url": None},
        {"database_url": "postgresql://sr:postgres@db/sr"},
        {"database_url": "postgresql://sr:CHANGEME@db/sr"},
        {"database_url": "postgresql://sr@db/sr"},
        {"redis_url": "redis://:steadyrank@cache/0"},
        {"require_keys": False},
    ],
)
def test_production_refuses(given: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(ValidationError, match="production"):
        Settings(environment="production", **{**STRONG, **given})


@pytest.mark.parametrize(
    "given",
    [
        {"database_url": "mysql://h/d"},
        {"database_url": "postgresql://u:p@h:port/d"},
        {"database_url": "postgresql://u:p@ss@h/d"},
        {"redis_url": "amqp://h"},
        {"redis_url": "redis://:p@h:port/0"},
        {"redis_url": "redis://:p/ss@h:6379/0"},
        {"lease_seconds": 0},
    ],
)
def test_refuses_what_cannot_work(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(**given)


def test_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(RuntimeError, match="DATABASE_URL"):
        _ = Settings().database
    with pytest.raises(RuntimeError, match="REDIS_URL"):
        _ = Settings().broker


def test_secrets_stay_out_of_the_repr() -> None:
    assert "x9!kfe83" not in repr(Settings(**STRONG))


@pytest.mark.parametrize("field", ["database_url", "redis_url"])
def test_secrets_stay_out_of_what_is_said_of_faults(field: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        Settings(environment="production", **{**STRONG, field: "mysql://sr:x9!kfe83@db/sr"})
    assert "x9!kfe83" not in str(wrong.value)
    assert "x9!kfe83" not in faults_of(wrong.value)
    assert faults_of(wrong.value).startswith(f"{field}: must be a ")


def test_every_field_has_a_sentence() -> None:
    undocumented = [name for name, field in Settings.model_fields.items() if not field.description]
    assert undocumented == []


def test_the_waits_between_webhooks_are_a_list_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEADYRANK_WEBHOOK_RETRY_SECONDS", "5, 300.5,")
    assert Settings().webhook_retry_seconds == (5.0, 300.5)
    monkeypatch.setenv("STEADYRANK_WEBHOOK_RETRY_SECONDS", "")
    assert Settings().webhook_retry_seconds == ()  # sent once, and given up
    monkeypatch.setenv("STEADYRANK_WEBHOOK_RETRY_SECONDS", "5,-1")
    with pytest.raises(ValidationError):
        Settings()
