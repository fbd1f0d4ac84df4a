"""`steadyrank jobs report`, `manifest` and `figures`: what a finished job leaves to be read."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.cli.output import AsJson, connect, print_json
from app.sdk.downloads import safe_target

Output = Annotated[Path | None, typer.Option("--output", "-o", dir_okay=False, help="Write it to this file.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="A job's id (job_…).")]


class Form(StrEnum):
    """How a report is written."""

    md = "md"
    html = "html"
    json = "json"


def report(
    ctx: typer.Context,
    job: JobId,
    form: Annotated[
        Form | None, typer.Option("--format", help="By default as the output's name ends; else md.")
    ] = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Print a job's report as Markdown or JSON, or write it to a file: one HTML page, too."""
    guessed = Form.__members__.get(output.suffix[1:].lower()) if output else None
    wanted = form or (Form.json if as_json else guessed or Form.md)
    with connect(ctx) as client:
        if wanted is Form.json:
            _put(json.dumps(client.jobs.report(job), indent=2, ensure_ascii=False), output)
        else:
            _put(client.jobs.report(job, format="html" if wanted is Form.html else "md"), output)


def manifest(ctx: typer.Context, job: JobId, output: Output = None, as_json: AsJson = False) -> None:
    """Print a job's manifest, or write it; `steadyrank train FILE --from-manifest` does the job again.

    It is JSON, with and without --json.
    """
    del as_json
    with connect(ctx) as client:
        _put(json.dumps(client.jobs.manifest(job), indent=2, ensure_ascii=False), output)


def figures(
    ctx: typer.Context,
    job: JobId,
    folder: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write them to, as SVG.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the figures of a job's report, or download them."""
    with connect(ctx) as client:
        names = client.jobs.figures(job)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for name in names:
                safe_target(folder, f"{name}.svg").write_text(client.jobs.figure(job, name), "utf-8")
    if as_json:
        print_json(names)
    else:
        for name in names:
            typer.echo(f"{folder / name}.svg" if folder else name)


def _put(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text)
    else:
        output.write_text(text, "utf-8")
        typer.echo(f"Written to {output}.", err=True)
