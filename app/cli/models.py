"""`steadyrank models …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from app.cli import model_registry
from app.cli.exits import UsageProblemError
from app.cli.model_registry import ModelId
from app.cli.output import AsJson, Limit, connect, newest, print_json, print_rows, time_text
from app.cli.settings_file import split_names
from app.sdk.errors import SteadyRankError

app = typer.Typer(
    no_args_is_help=True, help="List and download trained models, ask them for recommendations."
)


@app.command("list")
def list_(
    ctx: typer.Context,
    job: Annotated[str | None, typer.Option(help="Only this job's models.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List models, newest first."""
    with connect(ctx) as client:
        found = newest(client.models.list, limit=limit, job=job)
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
                _ndcg(model.metrics),
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
        Console(highlight=False, soft_wrap=True).print(
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
        Console(highlight=False, soft_wrap=True).print(f"{model} is in [bold]{escape(str(target))}[/]")


@app.command()
def promote(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The name under which the model is registered.")],
    version: Annotated[int, typer.Argument(min=1, help="The version that is to have the alias.")],
    alias: Annotated[str, typer.Argument(help="Such as production.")],
    promote_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC:RULE:VALUE",
            help="Only if this holds, e.g. test.ndcg@10:at_least_of_current:0.98. Can be repeated.",
        ),
    ] = None,
    keep_gates: Annotated[bool, typer.Option(help="Have later moves meet the conditions, too.")] = False,
    force: Annotated[bool, typer.Option(help="Move all the same; needs an admin's key.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let an alias of a name point at a version, if that meets every condition."""
    conditions = [_condition(text) for text in promote_if or ()]
    with connect(ctx) as client:
        moved = client.models.set_alias(
            name, alias, version, promote_if=conditions, keep_gates=keep_gates, force=force
        )
    if as_json:
        print_json(moved.raw)
    else:
        Console(highlight=False, soft_wrap=True).print(
            f"{escape(moved.name)}@{moved.alias} is version {moved.version}, {moved.model}"
        )


@app.command()
def aliases(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The name under which the models are registered.")],
    as_json: AsJson = False,
) -> None:
    """List the aliases of a name."""
    with connect(ctx) as client:
        found = client.models.aliases(name)
    if as_json:
        print_json([alias.raw for alias in found])
        return
    print_rows(
        ("alias", "version", "model", "gates", "moved"),
        (
            (row.alias, str(row.version), row.model, str(len(row.gates)), time_text(row.moved_at))
            for row in found
        ),
        empty="No aliases yet: steadyrank models promote NAME VERSION ALIAS makes one.",
    )


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


@app.command("recommend-batch")
def recommend_batch(
    ctx: typer.Context,
    model: ModelId,
    dataset: Annotated[str, typer.Argument(help="A data set's id (ds_…) with the users' histories.")],
    file: Annotated[Path, typer.Argument(dir_okay=False, help="Parquet: user, rank, item, score.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many items for each user.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Recommend to every user of a data set, wait, and download the parquet file."""
    with connect(ctx) as client:
        done = client.models.wait_for_batch(client.models.recommend_batch(model, dataset, k=k))
        if done.error is not None:
            raise SteadyRankError(str(done.error["message"]), hint=str(done.error["hint"]))
        target = client.models.download_batch(done, file)
    if as_json:
        print_json(done.raw)
    else:
        stats = done.stats
        Console(highlight=False, soft_wrap=True).print(
            f"{stats['rows']} rows for {stats['recommended_users']} of {stats['users']} users, "
            f"{stats['unknown_items']} items unknown, in [bold]{escape(str(target))}[/]"
        )


app.command("card")(model_registry.card)
app.command("rename")(model_registry.rename)
app.command("delete-alias")(model_registry.delete_alias)
app.command("delete")(model_registry.delete)


def _condition(text: str) -> dict[str, object]:
    metric, _, rest = text.partition(":")
    rule, _, value = rest.partition(":")
    try:
        if metric and rule:
            return {"metric": metric, rule: float(value)}
    except ValueError:
        pass
    raise UsageProblemError(
        f"--promote-if {text!r}: not of the form METRIC:RULE:VALUE",
        hint="For example: --promote-if test.ndcg@10:at_least:0.05",
    )


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


def _ndcg(metrics: dict[str, object]) -> str:
    """The test NDCG@10, wherever the service puts it."""
    test = metrics.get("test")
    value = (test if isinstance(test, dict) else metrics).get("ndcg@10")
    return f"{value:.4f}" if isinstance(value, float) else ""
