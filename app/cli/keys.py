"""`steadyrank keys …`: straight on the database, since the first key cannot be asked for with a key.

With `--remote` they ask the service, which takes an admin key, and see that key's project.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from app.cli.database import open_database
from app.cli.exits import ServiceFailedError, UsageProblemError
from app.cli.output import AsJson, connect, print_json, print_rows, time_text
from app.sdk.objects.keys import ApiKey as Shown

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app.db.models.api_key import ApiKey

app = typer.Typer(
    no_args_is_help=True, help="Make, list and revoke API keys (on the database, or with --remote)."
)
Remote = Annotated[
    bool, typer.Option("--remote", help="Ask the service, with an admin key, instead of the database.")
]


class ScopeName(StrEnum):
    """What a key may do, as on the command line."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"
    OPERATOR = "operator"


def end_of_key(days: int | None) -> datetime | None:
    """When a key that is made now expires; None for one that does not."""
    return None if days is None else datetime.now(UTC) + timedelta(days=days)


DataDir = Annotated[
    Path | None, typer.Option(file_okay=False, help="Data folder of a running `steadyrank up`.")
]


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "cli",
    project: Annotated[
        str | None, typer.Option(help="Whose data it sees; made if new. `default` when left out.")
    ] = None,
    scope: Annotated[
        list[ScopeName] | None, typer.Option(help="What it may do; admin when left out. May be repeated.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=36_500, help="Days until it expires.")] = None,
    remote: Remote = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. Its secret is printed once, alone on stdout, and cannot be shown again."""
    scopes = [one.value for one in scope or [ScopeName.ADMIN]]
    expires_at = end_of_key(days)
    answer: dict[str, Any]
    if remote:
        if project is not None:
            raise UsageProblemError(
                "--project: with --remote a key is of the project of the key that asks for it",
                hint="Leave --project out, or ask with a key of that project.",
            )
        with connect(ctx) as client:
            made = client.api_keys.create(name, scopes=scopes, expires_at=expires_at)
        answer, where = made.raw, "the service's project"
    else:
        from app.accounts.service import create_key

        project = project or "default"
        with _session(data_dir) as session:
            key, secret = create_key(
                session, name=name, project=project, scopes=scopes, expires_at=expires_at
            )
            answer, where = {**_json(key), "project": project, "secret": secret}, f"project {project}"
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"Key {answer['id']} ({name}) of {where}; this is shown once:", err=True)
        typer.echo(answer["secret"])


@app.command("list")
def list_(
    ctx: typer.Context, remote: Remote = False, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """List keys, newest first; revoked ones too."""
    found: Sequence[Shown | ApiKey]
    if remote:
        with connect(ctx) as client:
            found = list(client.api_keys.list(page_size=100))
    else:
        from app.accounts.service import list_keys

        with _session(data_dir) as session:
            found = list_keys(session)
    if as_json:
        print_json([_json(key) for key in found])
        return
    print_rows(
        ("id", "name", "begins", "may", "created", "last used", "expires", "revoked"),
        (
            (
                key.id,
                escape(key.name),
                f"{key.hint}…",
                ", ".join(key.scopes),
                time_text(key.created_at),
                time_text(key.last_used_at),
                time_text(key.expires_at),
                time_text(key.revoked_at),
            )
            for key in found
        ),
        empty="No keys yet. `steadyrank keys create` makes one.",
    )


@app.command()
def revoke(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key's id (key_…).")],
    remote: Remote = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key useless from now on; harmless on a revoked one."""
    revoked: Shown | ApiKey
    if remote:
        with connect(ctx) as client:
            revoked = client.api_keys.revoke(key)
    else:
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


def _json(key: ApiKey | Shown) -> dict[str, Any]:
    if isinstance(key, Shown):
        return key.raw
    return {
        "id": key.id,
        "object": "api_key",
        "name": key.name,
        "hint": key.hint,
        "project_id": key.project_id,
        "scopes": key.scopes,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }
