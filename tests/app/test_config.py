from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.config import Settings

STRONG = {"database_url": "postgresql://sr:x9!kfe83@db/sr", "redis_url": "redis://:p83hd73h@cache:6379/0"}


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_any_postgres_scheme_names_the_driver(scheme: str) -> None:
    assert Settings(database_url=f"{scheme}://u:p@h/d").database == "postgresql+psycopg://u:p@h/d"


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
    "given", [{"database_url": "mysql://h/d"}, {"redis_url": "amqp://h"}, {"lease_seconds": 0}]
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


def test_every_field_has_a_sentence() -> None:
    undocumented = [name for name, field in Settings.model_fields.items() if not field.description]
    assert undocumented == []
