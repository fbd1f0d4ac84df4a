"""`steadyrank models show`, `card`, `rename`, `delete`: what is registered, and under which name."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.markup import escape

from app.cli.output import AsJson, connect, print_fields, print_freed, print_json, size_text, time_text

ModelId = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model's id (mdl_…), or NAME@VERSION, NAME@ALIAS.")
]


def show(ctx: typer.Context, model: ModelId, as_json: AsJson = False) -> None:
    """Show one model: where it comes from, how it does, which aliases point at it, its files."""
    with connect(ctx) as client:
        found = client.models.get(model)
    if as_json:
        print_json(found.raw)
        return
    print_fields(
        [
            ("id", found.id),
            ("name", escape(f"{found.name}@{found.version}")),
            ("aliases", escape(", ".join(found.aliases))),
            ("model", f"{found.model}, arm {found.arm}, seed {found.seed}"),
            ("NDCG@10", ndcg(found.metrics)),
            ("job", found.job),
            ("data set", found.dataset),
            *(("warning", f"[yellow]{escape(str(one['message']))}[/]") for one in found.warnings),
            ("files", "\n".join(escape(f"{one.path}  {size_text(one.bytes)}") for one in found.files)),
            ("created", time_text(found.created_at)),
        ]
    )


def card(ctx: typer.Context, model: ModelId, as_json: AsJson = False) -> None:
    """Print a model's card, in Markdown; with --json as the member `card`."""
    with connect(ctx) as client:
        text = client.models.card(model)
    if as_json:
        print_json({"model": model, "card": text})
    else:
        sys.stdout.write(text)


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


def delete(ctx: typer.Context, model: ModelId, as_json: AsJson = False) -> None:
    """Delete a model and free its bytes; refused while an alias points at it."""
    with connect(ctx) as client:
        answer = client.models.delete(model)
    print_freed(answer, model, as_json)


def ndcg(metrics: dict[str, object]) -> str:
    """The test NDCG@10, wherever the service puts it."""
    test = metrics.get("test")
    value = (test if isinstance(test, dict) else metrics).get("ndcg@10")
    return f"{value:.4f}" if isinstance(value, float) else ""
