"""`steadyrank projects …` for who runs the installation, and `steadyrank usage` for everybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from rich.markup import escape

from app.cli.exits import UsageProblemError
from app.cli.keys import end_of_key
from app.cli.output import AsJson, connect, print_fields, print_json, print_rows, size_text, time_text
from app.sdk.projects import Project

app = typer.Typer(no_args_is_help=True, help="Make, limit and delete projects (needs an operator's key).")

Limits = Annotated[
    list[str] | None,
    typer.Option("--limit", metavar="NAME=N", help="rows, stored_bytes, jobs_at_once, …; 0: none"),
]
Retention = Annotated[
    list[str] | None,
    typer.Option("--keep", metavar="NAME=DAYS", help="checkpoints_days, events_days; 0: for good"),
]
Identity = Annotated[str, typer.Argument(metavar="PROJECT", help="A project's id (prj_…).")]


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name.")],
    limit: Limits = None,
    keep: Retention = None,
    key_name: Annotated[str, typer.Option("--key-name", help="What its first key is for.")] = "first key",
    key_scope: Annotated[
        list[str] | None, typer.Option("--key-scope", help="What that may do; admin unless told.")
    ] = None,
    key_days: Annotated[
        int | None, typer.Option("--key-days", min=1, max=36_500, help="Days until that expires.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a project and its first key, whose secret is printed once, alone on stdout."""
    with connect(ctx) as client:
        made = client.projects.create(
            name,
            limits=_numbers(limit),
            retention=_numbers(keep),
            key_name=key_name,
            key_scopes=key_scope or ("admin",),
            key_expires_at=end_of_key(key_days),
        )
    if as_json:
        print_json(made.raw)
    else:
        typer.echo(f"Project {made.id}; the secret of its first key is shown once:", err=True)
        typer.echo(made.secret)


@app.command("list")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List all projects, newest first."""
    with connect(ctx) as client:
        found = list(client.projects.list(page_size=100))
    if as_json:
        print_json([project.raw for project in found])
        return
    print_rows(
        ("id", "name", "limits", "keeps", "created"),
        (
            (
                project.id,
                escape(project.name),
                _set(project.limits),
                _set(project.retention),
                time_text(project.created_at),
            )
            for project in found
        ),
        empty="No projects.",
    )


@app.command()
def show(ctx: typer.Context, project: Identity, as_json: AsJson = False) -> None:
    """Show one project with its limits."""
    with connect(ctx) as client:
        _show(client.projects.get(project), as_json)


@app.command()
def change(
    ctx: typer.Context,
    project: Identity,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    limit: Limits = None,
    keep: Retention = None,
    as_json: AsJson = False,
) -> None:
    """Change a project's name, limits and retention; what is not named stays."""
    with connect(ctx) as client:
        changed = client.projects.change(project, name=name, limits=_numbers(limit), retention=_numbers(keep))
    _show(changed, as_json)


@app.command()
def delete(ctx: typer.Context, project: Identity, as_json: AsJson = False) -> None:
    """Delete an empty project with its keys."""
    with connect(ctx) as client:
        keys = client.projects.delete(project)
    if as_json:
        print_json({"id": project, "deleted": True, "deleted_keys": keys})
    else:
        typer.echo(f"{project} is gone, and {keys} key(s) with it.")


def usage(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show what the key's project uses, and how much it may."""
    with connect(ctx) as client:
        found = client.usage()
    if as_json:
        print_json(found.raw)
        return
    print_rows(
        ("quota", "used", "limit", "counted anew"),
        (
            (
                name.replace("_", " "),
                _amount(name, quota.used),
                "none" if quota.limit is None else _amount(name, quota.limit),
                time_text(quota.resets_at),
            )
            for name, quota in found.quotas.items()
        ),
        empty="",
    )
    kinds = {kind: size for kind, size in found.stored_bytes_by_kind.items() if size}
    print_rows(("stored", "bytes"), ((kind, size_text(size)) for kind, size in kinds.items()), empty="")


def _show(project: Project, as_json: bool) -> None:
    if as_json:
        print_json(project.raw)
        return
    print_fields(
        (
            ("id", project.id),
            ("name", escape(project.name)),
            ("limits", _set(project.limits)),
            ("keeps", _set(project.retention)),
            ("created", time_text(project.created_at)),
        )
    )


def _numbers(given: Sequence[str] | None) -> dict[str, int | None]:
    numbers: dict[str, int | None] = {}
    for one in given or ():
        name, equals, number = one.partition("=")
        if not equals or not (number.isdecimal() or number == "default"):
            raise UsageProblemError(
                f"{one!r} is not NAME=NUMBER.",
                hint="Such as rows=1000; 0 is none, `default` the service's.",
            )
        numbers[name] = None if number == "default" else int(number)
    return numbers


def _set(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in numbers.items() if value) or "none"


def _amount(name: str, value: int) -> str:
    return size_text(value) if name == "stored_bytes" else f"{value:,}"
