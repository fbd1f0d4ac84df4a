"""The schema's migrations, run from code: the same call for the embedded default, compose and the tests."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

import migrations

if TYPE_CHECKING:
    from collections.abc import Iterator

# Any fixed number: two processes that start together must not both run the same migration.
_LOCK = 0x57EAD1
_LOCK_SECONDS = 10
_LOCK_NOT_AVAILABLE = "55P03"


class TableHeldError(Exception):
    """Something else held a table for so long that the migration gave up; nothing was changed."""

    hint = "A backup (pg_dump) or a long query holds it: try again when that is over."

    def __init__(self) -> None:
        super().__init__(
            f"A table of the database could not be had within {_LOCK_SECONDS} s; nothing was changed."
        )


def upgrade(database_url: str, revision: str = "head") -> None:
    """Bring the schema up to a revision; waits for another process that is doing the same.

    All or nothing. Raises TableHeldError, and SQLAlchemy's errors.
    """
    try:
        with _configured(database_url) as config:
            command.upgrade(config, revision)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            raise TableHeldError from error
        raise


def downgrade(database_url: str, revision: str) -> None:
    """Take the schema back to a revision; `base` leaves nothing."""
    with _configured(database_url) as config:
        command.downgrade(config, revision)


def configuration() -> Config:
    """Where alembic finds the migrations."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__path__[0])).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _configured(database_url: str) -> Iterator[Config]:
    engine = create_engine(database_url, poolclass=NullPool)
    config = configuration()
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        # Whoever waits for a table makes all wait that come after: a backup at hand would stop the service.
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
        config.attributes["connection"] = connection
        yield config
