"""A database that is away, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool


@contextmanager
def away(database_url: str) -> Iterator[None]:
    """The database takes nobody while the block runs, and has cut off who was there."""
    url = make_url(database_url)
    engine = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    cut = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
    with engine.connect() as server:
        server.execute(text(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS false'))
        try:
            server.execute(cut, {"name": url.database})
            yield
        finally:
            server.execute(text(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS true'))
