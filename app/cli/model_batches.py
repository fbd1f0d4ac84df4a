"""`steadyrank models recommend-batch`, `batches`, `batch`, …: recommendations for the users of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from app.cli.exits import EndedBadlyError, UsageProblemError
from app.cli.model_registry import ModelId
from app.cli.output import (
    AsJson,
    IdempotencyKey,
    connect,
    print_fields,
    print_freed,
    print_json,
    print_rows,
    size_text,
    status_text,
    time_text,
)
from app.console import new_console
from app.sdk.client import SteadyRank
from app.sdk.objects.models import RecommendationBatch

BatchId = Annotated[str, typer.Argument(metavar="BATCH", help="A batch's id (rec_…).")]


def recommend_batch(
    ctx: typer.Context,
    model: ModelId,
    dataset: Annotated[
        str,
        typer.Argument(help="A data set's id (ds_…), or a log of interactions to upload."),
    ],
    file: Annotated[
        Path | None, typer.Argument(dir_okay=False, help="Parquet: user, rank, item, score.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many items for each user.")] = 10,
    exclude_seen: Annotated[bool, typer.Option(help="Leave out items of a user's history.")] = True,
    idempotency_key: IdempotencyKey = None,
    wait: Annotated[bool, typer.Option(help="Wait for it, and download it to FILE.")] = True,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="Wait no longer; it goes on all the same.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recommend to every user of a data set, wait, and download the parquet file."""
    if wait and file is None:
        raise UsageProblemError("FILE is missing", hint="Say where the parquet file goes, or --no-wait.")
    with connect(ctx) as client:
        found = client.models.recommend_batch(
            model, dataset, k=k, exclude_seen=exclude_seen, idempotency_key=idempotency_key
        )
        if wait and file is not None:
            found = _wait(client, found, timeout)
            client.models.download_batch(found, file)
    if as_json:
        print_json(found.raw)
    elif not wait:
        typer.echo(found.id)
    else:
        stats = found.stats
        new_console(soft_wrap=True).print(
            f"{stats['rows']} rows for {stats['recommended_users']} of {stats['users']} users, "
            f"{stats['unknown_items']} items unknown, in [bold]{escape(str(file))}[/]"
        )


def _wait(client: SteadyRank, queued: RecommendationBatch, timeout: float | None) -> RecommendationBatch:
    """Wait and tell how far it is, on standard error; SteadyRankError with its reason when it failed."""
    console, told = new_console(stderr=True, soft_wrap=True), ""

    with console.status(f"{queued.id}: {queued.status}") as spinner:

        def tell(now: RecommendationBatch) -> None:
            nonlocal told
            line = f"{now.id}: {now.status}" + (f", {now.users_done} users done" if now.users_done else "")
            if line != told and not console.is_terminal:
                console.print(line)
            spinner.update(line)
            told = line

        done = client.models.wait_for_batch(queued, tell, timeout=timeout)
    if done.error is not None:
        hint = str(done.error.get("hint") or "")
        raise EndedBadlyError(str(done.error["message"]), hint=hint, status=done.status)
    return done


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
    print_freed(answer, batch, as_json)
