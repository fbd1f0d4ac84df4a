"""`steadyrank models card`, `rename`, `delete-alias`, `delete`: what is registered, and under which name."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app.cli.output import AsJson, connect, print_json, size_text

ModelId = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model's id (mdl_…), or NAME@VERSION, NAME@ALIAS.")
]


def card(ctx: typer.Context, model: ModelId) -> None:
    """Print a model's card, in Markdown."""
    with connect(ctx) as client:
        sys.stdout.write(client.models.card(model))


def rename(
    ctx: typer.Context,
    model: ModelId,
    name: Annotated[str, typer.Argument(help="Its new name; it becomes that name's next version.")],
    as_json: AsJson = False,
) -> None:
    """Register a model under another name, as that name's next version."""
    with connect(ctx) as client:
        found = client.models.rename(model, name)
    if as_json:
        print_json(found.raw)
    else:
        typer.echo(f"{found.id} is {found.name}@{found.version}")


def delete_alias(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The name under which the models are registered.")],
    alias: Annotated[str, typer.Argument(help="Such as production.")],
    as_json: AsJson = False,
) -> None:
    """Take an alias away; its history is kept. One with kept gates needs an admin's key."""
    with connect(ctx) as client:
        answer = client.models.delete_alias(name, alias)
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{name}@{alias} is deleted")


def delete(ctx: typer.Context, model: ModelId, as_json: AsJson = False) -> None:
    """Delete a model and free its bytes; refused while an alias points at it."""
    with connect(ctx) as client:
        answer = client.models.delete(model)
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"Deleted {model}; {size_text(int(answer['freed_bytes']))} came free.")
