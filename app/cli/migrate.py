"""`steadyrank migrate`: bring the database to the newest schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.database import database_address
from app.cli.exits import ServiceFailedError


def migrate(
    data_dir: Annotated[
        Path | None, typer.Option(file_okay=False, help="Data folder of a running `steadyrank up`.")
    ] = None,
) -> None:
    """Bring the database named by DATABASE_URL to the newest schema (`up` does it by itself)."""
    from sqlalchemy.exc import OperationalError

    from app.db.migrate import TableHeldError, upgrade
    from app.db.revision import head

    try:
        upgrade(database_address(data_dir))
    except TableHeldError as held:
        raise ServiceFailedError(str(held), hint=held.hint) from held
    except OperationalError as down:
        raise ServiceFailedError(
            f"The database cannot be reached: {str(down.orig).strip()}", hint="Check DATABASE_URL."
        ) from down
    typer.echo(f"The database is at revision {head()}.")
