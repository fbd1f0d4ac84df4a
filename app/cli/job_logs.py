"""`steadyrank jobs logs`: what a job's training processes wrote, kept when their worker is gone."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from app.cli.exits import INTERRUPTED
from app.cli.job_documents import JobId
from app.cli.output import connect
from app.sdk.logs import LogLine


def logs(
    ctx: typer.Context,
    job: JobId,
    follow_on: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until it has ended; Ctrl-C leaves it running.")
    ] = False,
    attempt: Annotated[int | None, typer.Option(min=1, help="Only this attempt's.")] = None,
    tail: Annotated[
        int | None, typer.Option("--tail", "-n", min=1, max=5000, help="Only the last so many.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Print what a job's training processes wrote, oldest first; `events` has what happened to the job."""
    with connect(ctx) as client:
        try:
            for line in client.jobs.logs(job, attempt=attempt, tail=tail, follow=follow_on):
                typer.echo(json.dumps(line.raw, ensure_ascii=False) if as_json else _written(line))
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def _written(line: LogLine) -> str:
    level = "" if line.level in (None, "info") else f"{str(line.level).upper()} "
    return f"{line.at.astimezone():%Y-%m-%d %H:%M:%S} [{line.attempt}] {level}{line.text}"
