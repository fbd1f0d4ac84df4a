"""Addresses of the database and the broker as platforms give them: checked, and with the driver's name."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

_WEAK_PASSWORDS = frozenset(
    {"", "postgres", "steadyrank", "changeme", "password", "secret", "redis", "admin", "root", "test"}
)
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:/?]*)(:[0-9]*)?([/?]|$)")
_BROKER_SCHEMES = ("redis://", "rediss://", "unix://", "redis+socket://")
_NOT_READABLE = "its port is no number, or a password has an @, / or : that is not written as %40, %2F, %3A"


def postgres_address(given: str) -> str:
    """Return `postgresql://…` with the driver, psycopg 3. ValueError, without the password."""
    scheme, separator, rest = given.partition("://")
    if not separator or scheme not in {"postgres", "postgresql", "postgresql+psycopg"}:
        raise ValueError("must be a Postgres address: postgresql://user:password@host:port/name")
    user, _, place = rest.rpartition("@")
    if "@" in user or not _HOST_AND_PORT.match(place):
        raise ValueError(f"must be a Postgres address: {_NOT_READABLE}")
    return f"postgresql+psycopg://{rest}"


def redis_address(given: str) -> str:
    """Return a broker's address as it is. ValueError, without the password, when it is none."""
    if not given.startswith(_BROKER_SCHEMES):
        raise ValueError("must be a Redis address: redis://host:port/0, rediss://… or unix:///path.sock")
    try:
        _ = urlsplit(given).port
    except ValueError:
        raise ValueError(f"must be a Redis address: {_NOT_READABLE}") from None
    return given


def refuse_weak_passwords(database_url: str, redis_url: str) -> None:
    """ValueError when one is well-known, or the database's is absent though it is asked over a network."""
    address = urlsplit(database_url)
    if address.hostname and _is_weak(address.password or ""):
        raise ValueError("production refuses DATABASE_URL without a password or with a well-known one")
    broker_password = urlsplit(redis_url).password
    if broker_password is not None and _is_weak(broker_password):
        raise ValueError("production refuses REDIS_URL with a well-known password")


def _is_weak(password: str) -> bool:
    return unquote(password).lower() in _WEAK_PASSWORDS
