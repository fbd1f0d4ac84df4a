"""Which revision the schema is at, and which one this installation needs; asked often, so without alembic."""

from __future__ import annotations

from importlib.resources import files

from sqlalchemy import Connection, text

_DIGITS = 4


def head() -> str:
    """The newest revision that this installation knows: its file's name begins with it."""
    names = [entry.name for entry in files("migrations.versions").iterdir()]
    return max(name[:_DIGITS] for name in names if name[:_DIGITS].isdecimal() and name.endswith(".py"))


def current(connection: Connection) -> str | None:
    """The revision that a database is at; None when it is empty."""
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar_one() is None:
        return None
    revision: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar_one_or_none()
    return revision
