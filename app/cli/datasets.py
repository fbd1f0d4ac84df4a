"""`steadyrank datasets …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from app.cli import dataset_content
from app.cli.dataset_content import DatasetId
from app.cli.dataset_showing import ROLES, fix_text, lines_text, show_dataset
from app.cli.exits import UsageProblemError
from app.cli.id_files import read_ids
from app.cli.output import (
    AsJson,
    IdempotencyKey,
    Limit,
    connect,
    newest,
    print_json,
    print_rows,
    size_text,
    status_text,
    time_text,
)
from app.console import new_console
from app.sdk.datasets import forgotten_unknown

app = typer.Typer(no_args_is_help=True, help="Upload logs of interactions and see what was found in them.")


@app.command()
def upload(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="The log.")],
    name: Annotated[str | None, typer.Option(help="Its name in lists; the file's name by default.")] = None,
    format: Annotated[str | None, typer.Option(help="csv, tsv, jsonl, parquet, inter, …; guessed.")] = None,
    user_column: Annotated[str | None, typer.Option(help="Column of user ids; guessed.")] = None,
    item_column: Annotated[str | None, typer.Option(help="Column of item ids; guessed.")] = None,
    time_column: Annotated[str | None, typer.Option(help="Column of times; guessed.")] = None,
    rating_column: Annotated[str | None, typer.Option(help="Column of ratings; guessed.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the service has read it.")] = True,
    resume: Annotated[
        bool, typer.Option(help="Go on with an upload of this file that was broken off (over 64 MiB).")
    ] = True,
    threads: Annotated[int, typer.Option(min=1, max=32, help="Parts of a large file sent at a time.")] = 4,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
) -> None:
    """Upload a log of interactions (csv, tsv, jsonl, parquet, .inter; plain, gzip or zstd).

    A file over 64 MiB goes up in parts; after a crash or Ctrl-C, the same command sends what is missing.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with connect(ctx) as client, Progress(*columns, console=new_console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"Uploading {file.name}", total=None)

        def sent(done: int, total: int | None) -> None:
            reading = wait and done == total
            bar.update(task, completed=done, total=total, description="Reading" if reading else None)

        dataset = client.datasets.upload(
            file,
            name=name,
            format=format,
            user_column=user_column,
            item_column=item_column,
            time_column=time_column,
            rating_column=rating_column,
            wait=wait,
            on_bytes=sent,
            resume=resume,
            threads=threads,
            idempotency_key=idempotency_key,
        )
    show_dataset(dataset, as_json)


@app.command("list")
def list_(ctx: typer.Context, limit: Limit = 20, as_json: AsJson = False) -> None:
    """List data sets, newest first."""
    with connect(ctx) as client:
        found = newest(client.datasets.list, limit=limit)
    if as_json:
        print_json([dataset.raw for dataset in found])
        return
    print_rows(
        ("id", "status", "name", "users", "items", "interactions", "size", "created"),
        (
            (
                dataset.id,
                status_text(dataset.status),
                escape(f"{dataset.name} v{dataset.version}"),
                *(str(dataset.stats.get(count, "")) for count in ("users", "items", "interactions")),
                size_text(dataset.bytes),
                time_text(dataset.created_at),
            )
            for dataset in found
        ),
        empty="No data sets yet. `steadyrank datasets upload FILE` makes one.",
    )


@app.command()
def show(ctx: typer.Context, dataset: DatasetId, as_json: AsJson = False) -> None:
    """Show one data set: what was read, which columns were taken, and every problem found."""
    with connect(ctx) as client:
        show_dataset(client.datasets.get(dataset), as_json)


@app.command()
def report(
    ctx: typer.Context,
    dataset: DatasetId,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what the doctor says of a data set: findings with their first lines, and the fix of each."""
    with connect(ctx) as client:
        if markdown:
            typer.echo(client.datasets.report(dataset, format="md"), nl=False)
            return
        found = client.datasets.report(dataset)
    if as_json:
        print_json(found)
        return
    problems = (
        (problem["severity"], escape(problem["code"]), str(problem["count"]), "", lines_text(problem), "")
        for problem in found["problems"]
    )
    findings = (
        (
            finding["severity"],
            escape(finding["code"]),
            str(finding["count"]),
            f"{100 * finding['share']:.1f} %",
            lines_text(finding),
            fix_text(finding["fix"]),
        )
        for finding in found["findings"]
    )
    headings = ("severity", "finding", "count", "share", "first lines", "fix")
    print_rows(headings, (*problems, *findings), empty="Nothing was found.")
    console = new_console()
    for said in (*found["problems"], *found["findings"]):
        console.print(f"[bold]{escape(said['code'])}[/]: {escape(said['message'])}")


@app.command()
def preview(ctx: typer.Context, dataset: DatasetId, limit: Limit = 10, as_json: AsJson = False) -> None:
    """Show the first interactions as they were understood."""
    with connect(ctx) as client:
        found = client.datasets.preview(dataset, limit=min(limit, 100))
    if as_json:
        print_json(found)
        return
    print_rows(
        ROLES,
        (
            tuple(escape("" if row[role] is None else str(row[role])) for role in ROLES)
            for row in found["rows"]
        ),
        empty="There is no preview.",
    )


@app.command()
def transform(
    ctx: typer.Context,
    dataset: DatasetId,
    transforms: Annotated[list[str], typer.Argument(help="Fixes that the report names, in this order.")],
    name: Annotated[str | None, typer.Option(help="The new one's name; the same by default.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it has been made.")] = True,
    as_json: AsJson = False,
) -> None:
    """Make another version of a data set by named fixes; the data set itself stays as it is."""
    with connect(ctx) as client:
        show_dataset(client.datasets.transform(dataset, transforms, name=name, wait=wait), as_json)


@app.command()
def forget(
    ctx: typer.Context,
    dataset: DatasetId,
    users: Annotated[list[str] | None, typer.Argument(help="Ids of users, as in the data set.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", exists=True, dir_okay=False, help="A UTF-8 file, one id a line.")
    ] = None,
    delete_parent: Annotated[
        bool, typer.Option("--delete-parent", help="Delete the earlier versions once the new one is ready.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make another version of a data set without some users; models of earlier versions carry a warning."""
    ids = [*filter(None, users or []), *(read_ids(file) if file else [])]
    if not ids:
        raise UsageProblemError("name users as arguments, or a file with their ids by --file")
    with connect(ctx) as client:
        made = client.datasets.forget(dataset, ids, delete_parent=delete_parent)
    show_dataset(made, as_json)
    for user in forgotten_unknown(made, ids):
        typer.echo(f"not in the data set: {user!r}", err=True)  # spaces and marks are to be seen


app.command("download")(dataset_content.download)
app.command("delete")(dataset_content.delete)
