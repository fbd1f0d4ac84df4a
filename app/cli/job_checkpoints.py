"""`steadyrank jobs checkpoints` and `checkpoint`: the training states that a job keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.job_documents import JobId
from app.cli.output import AsJson, connect, print_json, print_rows, size_text, time_text


def checkpoints(ctx: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """List the training states of a job that are kept."""
    with connect(ctx) as client:
        found = list(client.jobs.checkpoints(job))
    if as_json:
        print_json([checkpoint.raw for checkpoint in found])
        return
    print_rows(
        ("id", "kind", "arm", "seed", "epoch", "step", "size", "created"),
        (
            (
                row.id,
                row.kind,
                row.arm,
                str(row.seed),
                str(row.epoch),
                str(row.step),
                size_text(row.bytes),
                time_text(row.created_at),
            )
            for row in found
        ),
        empty="No checkpoints are kept of it.",
    )


def checkpoint(
    ctx: typer.Context,
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="A checkpoint's id (ckpt_…).")],
    file: Annotated[
        Path | None,
        typer.Argument(dir_okay=False, help="Where to; ./CHECKPOINT.safetensors by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Download a training state, a safetensors file; resumes, and checks its SHA-256."""
    with connect(ctx) as client:
        target = client.jobs.download_checkpoint(checkpoint, file or Path(f"{checkpoint}.safetensors"))
    if as_json:
        print_json({"file": str(target), "bytes": target.stat().st_size})
    else:
        typer.echo(f"{checkpoint} is in {target}")
