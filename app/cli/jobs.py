"""`steadyrank jobs …`."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from app.cli import job_checkpoints, job_documents, job_logs, job_records
from app.cli.exits import INTERRUPTED, exit_code_of_job
from app.cli.job_documents import JobId
from app.cli.job_labels import LABEL, LABEL_FILTER, labels_to_set, parted
from app.cli.job_showing import event_line, say_status, show_job
from app.cli.output import (
    AsJson,
    IdempotencyKey,
    Limit,
    connect,
    newest,
    print_json,
    print_rows,
    status_text,
    time_text,
)
from app.cli.settings_file import read_job, split_names
from app.cli.watch import follow
from app.console import new_console
from app.sdk.client import SteadyRank
from app.sdk.objects.jobs import Job

app = typer.Typer(no_args_is_help=True, help="Train the arms of a comparison, follow them, read the report.")


@app.command()
def submit(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(help="A data set's id (ds_…).")],
    spec: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Settings in a JSON or TOML file.")
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One setting; may be repeated.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Its name; its models are named after it.")] = None,
    labels: Annotated[list[str] | None, LABEL] = None,
    model: Annotated[str | None, typer.Option(help="sasrec or gru4rec.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="Settings to start from: paper or strong; others win over it.")
    ] = None,
    arms: Annotated[
        str | None, typer.Option(help="Of standard,adversarial,cascade,cascade_replacement.")
    ] = None,
    init_from: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Start from this model's weights (mdl_… or name@3).")
    ] = None,
    priority: Annotated[
        int | None, typer.Option(min=-10, max=10, help="-10 to 10; the highest is trained first.")
    ] = None,
    max_runtime: Annotated[
        int | None, typer.Option(metavar="SECONDS", min=1, help="Then it ends with the best it has.")
    ] = None,
    max_pending: Annotated[
        int | None, typer.Option(metavar="SECONDS", min=1, help="Then it fails, if nobody took it.")
    ] = None,
    idempotency_key: IdempotencyKey = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end; the exit code is its.")] = False,
    validate: Annotated[
        bool, typer.Option("--validate", "--validate-only", help="Check only: print what would be run.")
    ] = False,
    probe: Annotated[bool, typer.Option("--probe", help="Check only, and time a few steps first.")] = False,
    as_json: AsJson = False,
) -> None:
    """Submit a training job. `--set` wins over `--spec`; every setting has a default."""
    settings = read_job(spec, assignments or (), dataset)
    named: dict[str, Any] = {"name": name, "model": model, "preset": preset, "arms": split_names(arms)}
    named |= {"init_from": init_from, "priority": priority}
    named |= {"max_runtime": max_runtime, "max_pending": max_pending}
    settings |= {name: value for name, value in named.items() if value is not None}
    if labels:
        settings["labels"] = {**settings.get("labels", {}), **labels_to_set(labels)}
    with connect(ctx) as client:
        if validate or probe:
            print_json(client.jobs.validate(dataset, estimate="probe" if probe else None, **settings).raw)
            return
        job = client.jobs.create(dataset, idempotency_key=idempotency_key, **settings)
        if wait:
            typer.echo(job.id, err=True)  # at once: whatever ends this command, the job goes on
            _follow_to_the_end(client, job, as_json)
    if as_json:
        print_json(job.raw)
    else:
        typer.echo(job.id)


@app.command("list")
def list_(
    ctx: typer.Context,
    status: Annotated[str | None, typer.Option(help="Only those with this status.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only those of this data set.")] = None,
    model: Annotated[str | None, typer.Option(help="Only those that train this model.")] = None,
    created_after: Annotated[
        datetime | None, typer.Option("--after", help="Only those submitted later than this time.")
    ] = None,
    created_before: Annotated[
        datetime | None, typer.Option("--before", help="Only those submitted earlier than this time.")
    ] = None,
    labels: Annotated[list[str] | None, LABEL_FILTER] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    wanted = {key: value if equals else None for key, equals, value in parted(labels)}
    with connect(ctx) as client:
        found = newest(
            client.jobs.list,
            limit=limit,
            status=status,
            dataset=dataset,
            model=model,
            created_after=created_after,
            created_before=created_before,
            labels=wanted,
        )
    if as_json:
        print_json([job.raw for job in found])
        return
    print_rows(
        ("id", "status", "done", "name", "model", "arms", "created"),
        (
            (
                job.id,
                status_text(job.status),
                f"{100 * job.progress.fraction:.0f} %",
                escape(job.name or ""),
                job.model,
                ", ".join(job.arms),
                time_text(job.created_at),
            )
            for job in found
        ),
        empty="No job is like that."
        if any((status, dataset, model, created_after, created_before, wanted))
        else "No jobs yet. `steadyrank jobs submit DATASET` makes one.",
    )


@app.command()
def show(ctx: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """Show one job."""
    with connect(ctx) as client:
        show_job(client.jobs.get(job), as_json)


@app.command()
def watch(ctx: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """Follow a job to its end. Exit code: 0 succeeded, 1 failed, 4 cancelled. Ctrl-C leaves it running."""
    with connect(ctx) as client:
        _follow_to_the_end(client, job, as_json)


@app.command()
def events(
    ctx: typer.Context,
    job: JobId,
    follow_on: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until it has ended; Ctrl-C leaves it running.")
    ] = False,
    after: Annotated[
        str | None, typer.Option(help="Number or id of the last event already seen.", metavar="EVENT")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Print what happened to a job, oldest first; `logs` has what its training processes wrote."""
    with connect(ctx) as client:
        rows = client.jobs.stream(job, after=after) if follow_on else client.jobs.events(job, after=after)
        try:
            for event in rows:
                typer.echo(json.dumps(event.raw, ensure_ascii=False) if as_json else event_line(event))
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


@app.command()
def cancel(ctx: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """Cancel a job: at once when queued, within a few batches when running."""
    with connect(ctx) as client:
        say_status(client.jobs.cancel(job), as_json)


@app.command()
def pause(ctx: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """Pause a job: at once when queued, within a few batches when running; its progress is saved."""
    with connect(ctx) as client:
        say_status(client.jobs.pause(job), as_json)


@app.command()
def resume(ctx: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """Queue a paused job again; it goes on where it was paused."""
    with connect(ctx) as client:
        say_status(client.jobs.resume(job), as_json)


@app.command()
def retry(ctx: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """Queue a failed or cancelled job again; it goes on from its last checkpoint."""
    with connect(ctx) as client:
        say_status(client.jobs.retry(job), as_json)


@app.command()
def update(
    ctx: typer.Context,
    job: JobId,
    name: Annotated[
        str | None, typer.Option(help="What it is called from now on; empty for nothing.")
    ] = None,
    labels: Annotated[list[str] | None, LABEL] = None,
    unlabel: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="A label to take away; may be repeated.")
    ] = None,
    priority: Annotated[int | None, typer.Option(min=-10, max=10, help="-10 to 10, while it waits.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change a job's name, labels and priority."""
    changed: dict[str, str | None] = {**labels_to_set(labels), **dict.fromkeys(unlabel or ())}
    with connect(ctx) as client:
        show_job(client.jobs.update(job, name=name, labels=changed or None, priority=priority), as_json)


app.command("logs")(job_logs.logs)
app.command("metrics")(job_records.metrics)
app.command("delete")(job_records.delete)
app.command("report")(job_documents.report)
app.command("manifest")(job_documents.manifest)
app.command("figures")(job_documents.figures)
app.command("checkpoints")(job_checkpoints.checkpoints)
app.command("checkpoint")(job_checkpoints.checkpoint)


def _follow_to_the_end(client: SteadyRank, job: str | Job, as_json: bool) -> None:
    """Follow, show the end, and leave with its exit code."""
    console = new_console(stderr=True, soft_wrap=True)
    identity = job if isinstance(job, str) else job.id
    try:
        ended = follow(client, job, console)
    except KeyboardInterrupt:
        console.print(f"{identity} goes on. Stop it with: steadyrank jobs cancel {identity}")
        raise typer.Exit(INTERRUPTED) from None
    show_job(ended, as_json)
    raise typer.Exit(exit_code_of_job(ended))
