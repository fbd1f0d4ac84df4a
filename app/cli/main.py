"""The `steadyrank` command. Each command group has its own module; exit codes are in app/cli/exits.py."""

from __future__ import annotations

import io
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from app.cli import (
    datasets,
    evaluations,
    jobs,
    keys,
    migrate,
    models,
    projects,
    service,
    up,
    uploads,
    webhooks,
)
from app.cli.demo import command as demo
from app.cli.exits import ReportingGroup
from app.cli.plugins import add_plugins

app = typer.Typer(
    cls=ReportingGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="SteadyRank trains sequential recommenders whose rankings stay steady when a click is wrong.",
    epilog="Exit codes: 0 done, 1 job failed, 2 bad input, 3 service down, 4 job cancelled, 5 and 6 run "
    "reproduced roughly or not, 7 waited too long, 8 limit reached, 130 Ctrl-C",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"steadyrank {version('steadyrank')}")
        raise typer.Exit


@app.callback()
def root(
    url: Annotated[
        str | None,
        typer.Option(help="The service's address; else STEADYRANK_URL, else the one on this machine."),
    ] = None,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


app.command("up")(up.up)
app.command("demo")(demo.demo)
app.add_typer(datasets.app, name="datasets")
app.add_typer(uploads.app, name="uploads")
app.add_typer(jobs.app, name="jobs")
app.add_typer(models.app, name="models")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(evaluations.app, name="evaluations")
app.command("compare")(evaluations.compare)
app.add_typer(keys.app, name="keys")
app.add_typer(projects.app, name="projects")
app.command("usage")(projects.usage)
app.command("capabilities")(service.capabilities)
app.command("health")(service.health)
app.command("migrate")(migrate.migrate)
add_plugins(app)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a locale without a name's letters must not end a command
            stream.reconfigure(errors="backslashreplace")
    app()


if __name__ == "__main__":
    main()
