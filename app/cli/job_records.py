"""`steadyrank jobs metrics` and `delete`: a job's epochs as a table, and taking a job away."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.job_documents import JobId
from app.cli.output import AsJson, connect, print_freed, print_json, print_rows

METRIC = "ndcg@10"


def metrics(ctx: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """Print loss and validation figures of every epoch, oldest first."""
    with connect(ctx) as client:
        found = list(client.jobs.metrics(job))
    if as_json:
        print_json([row.raw for row in found])
        return
    print_rows(
        ("arm", "seed", "epoch", "loss", "matching", "history", "NDCG@10", "seconds"),
        (
            (
                row.arm,
                str(row.seed),
                str(row.epoch),
                _figure(row.loss),
                _figure(row.loss_match),
                _figure(row.loss_history),
                _figure((row.validation or {}).get(METRIC)),
                f"{row.seconds:.2f}",
            )
            for row in found
        ),
        empty="No epoch has ended yet.",
    )


def delete(
    ctx: typer.Context,
    job: JobId,
    models: Annotated[bool, typer.Option("--models", help="Its models, too; they stay otherwise.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a job that has ended, with its checkpoints, logs and report, and free the bytes."""
    with connect(ctx) as client:
        answer = client.jobs.delete(job, models=models)
    print_freed(answer, job, as_json)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
