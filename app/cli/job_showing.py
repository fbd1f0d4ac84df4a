"""How the commands show jobs and their events on a terminal."""

from __future__ import annotations

from rich.markup import escape

from app.cli.output import print_fields, print_json, seconds_text, status_text, time_text
from app.console import new_console
from app.sdk.objects.jobs import Event, Job


def show_job(job: Job, as_json: bool) -> None:
    """Print one job: its fields, or the answer as it came."""
    if as_json:
        print_json(job.raw)
        return
    error = job.error
    print_fields(
        [
            ("id", job.id),
            ("name", escape(job.name or "")),
            ("status", status_text(job.status) + (f" ({escape(job.phase)})" if job.phase else "")),
            ("done", f"{100 * job.progress.fraction:.0f} %"),
            ("trains", escape(_at(job))),
            ("ends about", "" if job.ended_at else time_text(job.progress.eta_at)),
            ("error", f"[red]{escape(f'{error.code}: {error.message}')}[/]" if error else ""),
            ("hint", escape(error.hint) if error else ""),
            ("stopped", escape(job.stop_reason or "")),
            ("data set", job.dataset),
            ("model", job.model),
            ("labels", escape(", ".join(f"{key}={value}" for key, value in job.labels.items()))),
            ("arms", ", ".join(job.arms)),
            ("priority", str(job.priority) if job.priority else ""),
            ("waits", escape(_place(job))),
            ("attempts", str(len(job.attempts)) if len(job.attempts) > 1 else ""),
            ("created", time_text(job.created_at)),
            ("started", time_text(job.started_at)),
            ("ended", time_text(job.ended_at)),
            ("took", _took(job)),
            ("models", "\n".join(job.models)),
        ]
    )


def say_status(job: Job, as_json: bool) -> None:
    """Print what a job is now that something was asked of it."""
    if as_json:
        print_json(job.raw)
    else:
        new_console().print(f"{job.id} is {status_text(job.status)}")


def event_line(event: Event) -> str:
    """What happened, when and to what effect, on one line."""
    at = event.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if event.created_at else ""
    level = "" if event.level == "info" else f"{event.level.upper()} "
    return f"{at} {event.type} {level}{event.message}"


def _at(job: Job) -> str:
    if job.status != "running" or job.arm is None:
        return ""
    epochs = job.spec.get("epochs")
    epoch = f", epoch {job.progress.epoch} of at most {epochs}" if job.progress.epoch else ""
    return f"{job.arm}, seed {job.seed}{epoch}"


def _took(job: Job) -> str:
    if job.started_at is None or job.ended_at is None:
        return ""
    return seconds_text((job.ended_at - job.started_at).total_seconds())


def _place(job: Job) -> str:
    return f"{job.queue['reason']}; number {job.queue['position']} in line" if job.queue else ""
