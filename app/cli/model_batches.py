"""`steadyrank models batches`, `batch`, `delete-batch`: recommendations for every user of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from app.cli.model_registry import ModelId
from app.cli.output import (
    AsJson,
    connect,
    print_fields,
    print_json,
    print_rows,
    size_text,
    status_text,
    time_text,
)

BatchId = Annotated[str, typer.Argument(metavar="BATCH", help="A batch's id (rec_…).")]


def batches(ctx: typer.Context, model: ModelId, as_json: AsJson = False) -> None:
    """List a model's batches of recommendations, newest first."""
    with connect(ctx) as client:
        found = list(client.models.batches(model))
    if as_json:
        print_json([row.raw for row in found])
        return
    print_rows(
        ("id", "status", "data set", "users", "size", "created"),
        (
            (
                row.id,
                status_text(row.status),
                row.dataset,
                str(row.users_done),
                "" if row.bytes is None else size_text(row.bytes),
                time_text(row.created_at),
            )
            for row in found
        ),
        empty="No batches yet: steadyrank models recommend-batch MODEL DATASET FILE makes one.",
    )


def batch(
    ctx: typer.Context,
    model: ModelId,
    batch: BatchId,
    file: Annotated[
        Path | None, typer.Argument(dir_okay=False, help="Download it to this parquet file, too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a batch of recommendations, and download it where FILE is given."""
    with connect(ctx) as client:
        found = client.models.batch(batch, model=model)
        if file is not None:
            client.models.download_batch(found, file)
    if as_json:
        print_json(found.raw)
        return
    print_fields(
        [
            ("id", found.id),
            ("status", status_text(found.status)),
            ("model", found.model),
            ("data set", found.dataset),
            ("users", str(found.users_done)),
            *((name.replace("_", " "), escape(str(value))) for name, value in found.stats.items()),
            ("error", escape(str(found.error["message"])) if found.error else ""),
            ("file", escape(str(file)) if file else ""),
            ("created", time_text(found.created_at)),
        ]
    )


def delete_batch(ctx: typer.Context, model: ModelId, batch: BatchId, as_json: AsJson = False) -> None:
    """Delete a batch of recommendations, also one that runs, and free its bytes."""
    with connect(ctx) as client:
        answer = client.models.delete_batch(client.models.batch(batch, model=model))
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"Deleted {batch}; {size_text(int(answer['freed_bytes']))} came free.")
