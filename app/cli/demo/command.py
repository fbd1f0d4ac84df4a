"""`steadyrank demo`: the whole product on a real log, from upload to a recommendation, in a few minutes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.demo.data import DemoLog, cache_folder, demo_log, user_histories
from app.cli.demo.results import print_table, rows_of
from app.cli.demo.service import running_service, stopped_by_signals
from app.cli.exits import DemoFailedError
from app.cli.output import seconds_text
from app.cli.settings_file import read_spec
from app.cli.watch import follow
from app.console import new_console
from app.sdk.client import SteadyRank
from app.sdk.objects.jobs import Job
from app.sdk.objects.models import Model

DEFAULT_SPEC = Path(__file__).parent.parent / "demo_spec.json"
PREFERRED_ARM = "cascade"
SHOWN_ITEMS = 5
REPORT, REPORT_PAGE, REPORT_TEXT = "report.json", "report.html", "report.md"
MODEL_FOLDER, LOGS_FOLDER = "model", "service-logs"


def demo(
    spec: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="Training settings, JSON or TOML.")
    ] = DEFAULT_SPEC,
    output: Annotated[Path, typer.Option(file_okay=False, help="Folder for report and model.")] = Path(
        "demo-output"
    ),
) -> None:
    """Train three arms on MovieLens 100K through a service of its own, and show them side by side."""
    console = new_console(soft_wrap=True)
    settings = read_spec(spec)
    began = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    _forget_the_last_run(output)
    try:
        with stopped_by_signals():
            log = _fetch(console)
            console.print("Starting a service of its own: Postgres, Valkey, API, workers …")
            with running_service(output / LOGS_FOLDER) as client:
                console.print(f"It answers at {client.base_url} after {time.monotonic() - began:.1f} s.")
                job = _train(client, console, log, settings, spec)
                model = _download(client, console, job, output)
                _recommend(client, console, model, log, output / MODEL_FOLDER)
                console.print("Stopping the service …")
    except KeyboardInterrupt:
        console.print("\nInterrupted: the service was stopped and removed.")
        raise
    console.print(f"Done in {seconds_text(time.monotonic() - began)}. Everything is in [bold]{output}[/]:")
    console.print(
        f"  {REPORT_PAGE} (with figures; open it in a browser), {REPORT_TEXT}, {REPORT}, {MODEL_FOLDER}/"
    )


def _forget_the_last_run(output: Path) -> None:
    """Remove what would be taken for this run's if it failed; the model's files are overwritten in place."""
    reports = (output / name for name in (REPORT, REPORT_PAGE, REPORT_TEXT))
    for stale in (*reports, *(output / LOGS_FOLDER).glob("*.log")):
        stale.unlink(missing_ok=True)


def _fetch(console: Console) -> DemoLog:
    with console.status("Fetching MovieLens 100K …"):
        log = demo_log(cache_folder())
    if log.excuse:
        console.print(
            "[bold yellow]MovieLens 100K could not be fetched; what follows is about a SYNTHETIC log.[/]"
        )
        console.print(f"  [dim]{escape(log.excuse)}[/]")
    return log


def _train(client: SteadyRank, console: Console, log: DemoLog, settings: dict[str, Any], spec: Path) -> Job:
    dataset = client.datasets.upload(log.path, name=log.name)
    stats = dataset.stats
    console.print(
        f"Uploaded {log.name} as {dataset.id}: {stats.get('users')} users, {stats.get('items')} items, "
        f"{stats.get('interactions')} interactions."
    )
    job = client.jobs.create(dataset, **settings)
    console.print(
        f"Submitted {job.id}: {job.model}, arms {', '.join(job.arms)} (settings: {escape(str(spec))})."
    )
    ended = follow(client, job, console)
    if ended.status != "succeeded":
        error = ended.error
        raise DemoFailedError(
            f"The job {ended.status}" + (f": {error.code}: {error.message}" if error else "."),
            hint=(error.hint if error else "")
            or f"The service's logs are in {LOGS_FOLDER}/ of the output folder.",
        )
    return ended


def _download(client: SteadyRank, console: Console, job: Job, output: Path) -> Model:
    """Write report and model, print the table; the model is the cascade arm's where there is one."""
    report = client.jobs.report(job)
    (output / REPORT).write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (output / REPORT_TEXT).write_text(client.jobs.report_markdown(job), encoding="utf-8")
    (output / REPORT_PAGE).write_text(client.jobs.report(job, format="html"), encoding="utf-8")
    print_table(console, rows_of(report))
    if verdict := report.get("verdict"):
        console.print(escape(str(verdict)))
    arm = PREFERRED_ARM if PREFERRED_ARM in report["arms"] else list(report["arms"])[-1]
    seed = report["arms"][arm]["seeds"][0]["seed"]
    models = client.models.list(job=job)
    model = next(found for found in models if found.arm == arm and found.seed == seed)
    folder = client.models.download(model, output / MODEL_FOLDER)
    console.print(
        f"Downloaded {model.id} ({arm}, seed {seed}) to {escape(str(folder))}/, every file's hash checked."
    )
    return model


def _recommend(client: SteadyRank, console: Console, model: Model, log: DemoLog, folder: Path) -> None:
    """Ask for one user's next items, and again with the user's last click replaced by another.

    The service and the downloaded files must give the same list.
    """
    from worker.training.portable import load_model

    histories = user_histories(log)
    user = next(iter(histories))
    history = histories[user]
    other = next(iter(histories[list(histories)[-1]]))
    (before,) = client.models.recommend(model, [history])
    here = [item for item, _ in load_model(folder).recommend(history)]
    if here != [row.item for row in before]:
        raise DemoFailedError("The downloaded model recommends other items than the service does.")
    (after,) = client.models.recommend(model, [history], replace={-1: other})

    def named(item: str) -> str:
        return escape(f"{log.titles[item]} ({item})" if item in log.titles else item)

    console.print(f"User {user} last saw: {', '.join(named(item) for item in history[-3:])}. Comes next:")
    for rank, row in enumerate(before[:SHOWN_ITEMS], 1):
        console.print(f"  {rank}. {named(row.item)}  [dim]{row.score:.3f}[/]")
    console.print(
        "  [dim](the service's answer; the downloaded files, scored here by numpy, give the same)[/]"
    )
    stay = len({row.item for row in before} & {row.item for row in after})
    console.print(
        f"Had the last click been {named(other)} instead, {stay} of the {len(before)} best would have stayed."
    )
