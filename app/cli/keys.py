"""`steadyrank keys …`: straight on the database, since the first key cannot be asked for with a key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from app.cli.database import open_database
from app.cli.exits import ServiceFailedError, UsageProblemError
from app.cli.output import AsJson, print_json, print_rows, time_text

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app.db.models.api_key import ApiKey

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys (needs the database).")
DataDir = Annotated[
    Path | None, typer.Option(file_okay=False, help="Data folder of a running `steadyrank up`.")
]


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for.")] = "cli",
    project: Annotated[str, typer.Option(help="Whose data it sees; made if new.")] = "default",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. Its secret is printed once, alone on stdout, and cannot be shown again."""
    from app.accounts.service import create_key

    with _session(data_dir) as session:
        key, secret = create_key(session, name=name, project=project)
        answer = {**_json(key), "project": project, "secret": secret}
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"Key {key.id} ({name}) of project {project}; this is shown once:", err=True)
        typer.echo(secret)


@app.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List keys, newest first; revoked ones too."""
    from app.accounts.service import list_keys

    with _session(data_dir) as session:
        found = list(list_keys(session))
    if as_json:
        print_json([_json(key) for key in found])
        return
    print_rows(
        ("id", "name", "begins", "created", "last used", "revoked"),
        (
            (
                key.id,
                escape(key.name),
                f"{key.hint}…",
                time_text(key.created_at),
                time_text(key.last_used_at),
                time_text(key.revoked_at),
            )
            for key in found
        ),
        empty="No keys yet. `steadyrank keys create` makes one.",
    )


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key's id (key_…).")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key useless from now on; harmless on a revoked one."""
    from app.accounts.service import revoke_key

    with _session(data_dir) as session:
        revoked = revoke_key(session, key)
    if as_json:
        print_json(_json(revoked))
    else:
        typer.echo(f"{revoked.id} is revoked.")


@contextmanager
def _session(data_dir: Path | None) -> Iterator[Session]:
    from sqlalchemy.exc import OperationalError, ProgrammingError

    from app.errors import SteadyRankError

    database = open_database(data_dir)
    try:
        with database.unit_of_work() as session:
            yield session
    except SteadyRankError as refused:
        raise UsageProblemError(refused.detail, hint=refused.hint or "") from refused
    except OperationalError as down:
        raise ServiceFailedError(
            f"The database cannot be reached: {str(down.orig).strip()}", hint="Check DATABASE_URL."
        ) from down
    except ProgrammingError as unready:
        raise UsageProblemError(
            "The database has no SteadyRank schema, or an older one.", hint="Run `steadyrank migrate`."
        ) from unready
    finally:
        database.dispose()


def _json(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "object": "api_key",
        "name": key.name,
        "hint": key.hint,
        "project_id": key.project_id,
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }
