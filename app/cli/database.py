"""The database for the commands that need it directly: `keys` and `migrate`. Nothing heavy at import time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.exits import UsageProblemError
from app.sdk.discovery import default_data_folder

if TYPE_CHECKING:
    from app.db.session import Database


def database_address(data_dir: Path | None = None) -> str:
    """The database's address, in SQLAlchemy's form: DATABASE_URL, else that of the service on this machine.

    `data_dir` names a data folder and wins over DATABASE_URL. UsageProblemError when there is no database.
    """
    from pydantic import ValidationError

    from app.config import Settings, faults_of, get_settings
    from app.embedded.datafolder import running_in

    try:
        given = get_settings().database_url
    except ValidationError as wrong:
        raise UsageProblemError(f"The environment's settings are not valid: {faults_of(wrong)}") from None
    if given and data_dir is None:
        return given
    folder = data_dir or default_data_folder()
    running = running_in(folder)
    if running is None or running.database_url is None:
        raise UsageProblemError(
            f"No database: DATABASE_URL is not set, and no service is running on {folder}.",
            hint="Set DATABASE_URL, or start one with `steadyrank up`; --remote asks a service for its keys.",
        )
    return Settings(database_url=running.database_url).database


def open_database(data_dir: Path | None = None) -> Database:
    """The database itself; the caller disposes of it."""
    from app.db.session import Database

    return Database(database_address(data_dir), pool_size=1)
