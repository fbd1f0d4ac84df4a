"""`steadyrank models …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from app.cli import model_aliases, model_batches, model_registry
from app.cli.exits import UsageProblemError
from app.cli.model_registry import ModelId, ndcg
from app.cli.output import AsJson, Limit, connect, newest, print_json, print_rows, time_text
from app.cli.settings_file import split_names
from app.console import new_console

app = typer.Typer(
    no_args_is_help=True, help="List and download trained models, ask them for recommendations."
)


@app.command("list")
def list_(
    ctx: typer.Context,
    job: Annotated[str | None, typer.Option(help="Only this job's models.")] = None,
    arm: Annotated[str | None, typer.Option(help="Only those of this arm.")] = None,
    name: Annotated[str | None, typer.Option(help="Only versions of this name.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Only those of this number.")] = None,
    alias: Annotated[str | None, typer.Option(help="Only those that have this alias.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List models, newest first."""
    with connect(ctx) as client:
        wanted = {"job": job, "arm": arm, "name": name, "version": version, "alias": alias}
        found = newest(client.models.list, limit=limit, **wanted)
    if as_json:
        print_json([model.raw for model in found])
        return
    print_rows(
        ("id", "name", "arm", "seed", "NDCG@10", "job", "created"),
        (
            (
                model.id,
                escape(model.name) + (f" v{model.version}" if model.version is not None else ""),
                model.arm,
                str(model.seed),
                ndcg(model.metrics),
                model.job,
                time_text(model.created_at),
            )
            for model in found
        ),
        empty="No models yet. A job that succeeds makes one for each arm and seed.",
    )


@app.command()
def download(
    ctx: typer.Context,
    model: ModelId,
    folder: Annotated[
        Path | None, typer.Argument(file_okay=False, help="Where to; ./MODEL by default.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Download a model's files into a folder; resumes, and checks every file's SHA-256."""
    with connect(ctx) as client:
        found = client.models.get(model)
        target = client.models.download(found, folder or Path(found.id))
    if as_json:
        print_json({"folder": str(target), "files": [str(target / file.path) for file in found.files]})
    else:
        new_console(soft_wrap=True).print(
            f"{len(found.files)} files of {found.id} are in [bold]{escape(str(target))}[/]"
        )


@app.command()
def bundle(
    ctx: typer.Context,
    model: ModelId,
    file: Annotated[
        Path | None,
        typer.Argument(dir_okay=False, help="Where to; ./MODEL.zip by default.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Download all of a model as one zip, with a loader that needs only numpy; resumes, and checks it."""
    with connect(ctx) as client:
        target = client.models.download_bundle(model, file or Path(f"{model}.zip"))
    if as_json:
        print_json({"file": str(target), "bytes": target.stat().st_size})
    else:
        new_console(soft_wrap=True).print(f"{model} is in [bold]{escape(str(target))}[/]")


@app.command()
def recommend(
    ctx: typer.Context,
    model: ModelId,
    history: Annotated[list[str], typer.Argument(help="Item ids, oldest first; or one list with commas.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many items.")] = 10,
    exclude_seen: Annotated[bool, typer.Option(help="Leave out items of the history.")] = True,
    replace: Annotated[
        list[str] | None,
        typer.Option(metavar="POSITION=ITEM", help="What if this item were another? -1 is the last one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a model what comes next after a history of items."""
    items = (split_names(history[0]) or []) if len(history) == 1 else history
    replaced = dict(_replacement(text) for text in replace or ())
    with connect(ctx) as client:
        (found,) = client.models.recommend(model, [items], k=k, exclude_seen=exclude_seen, replace=replaced)
    if as_json:
        print_json([{"item": row.item, "score": row.score} for row in found])
        return
    print_rows(
        ("rank", "item", "score"),
        ((str(rank), escape(row.item), f"{row.score:.4f}") for rank, row in enumerate(found, 1)),
        empty="Nothing is left to recommend.",
    )


app.command("recommend-batch")(model_batches.recommend_batch)
app.command("batches")(model_batches.batches)
app.command("batch")(model_batches.batch)
app.command("delete-batch")(model_batches.delete_batch)
app.command("show")(model_registry.show)
app.command("card")(model_registry.card)
app.command("rename")(model_registry.rename)
app.command("delete")(model_registry.delete)
app.command("promote")(model_aliases.promote)
app.command("aliases")(model_aliases.aliases)
app.command("alias")(model_aliases.alias)
app.command("delete-alias")(model_aliases.delete_alias)


def _replacement(text: str) -> tuple[int, str]:
    position, equals, item = text.partition("=")
    try:
        if equals and item:
            return int(position), item
    except ValueError:
        pass
    raise UsageProblemError(
        f"--replace {text!r}: not of the form POSITION=ITEM", hint="For example: --replace -1=50"
    )
