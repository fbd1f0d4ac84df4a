"""Commands that other installed parts bring, found in the entry-point group `steadyrank.commands`.

`worker/cli.py` brings `train` that way, so that `app` never imports torch. A plug-in is loaded only when its
command is run; its entry point is a typer function, or a module-level typer application.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

import typer

from app.cli.exits import UsageProblemError

GROUP = "steadyrank.commands"
_HELP = {"train": "Train on a file, without a service (needs the worker extra)."}


def add_plugins(app: typer.Typer) -> None:
    """Add a command for every entry point of the group, without importing any."""
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        app.command(
            point.name,
            help=_HELP.get(point.name, f"Brought by {point.module}."),
            add_help_option=False,
            context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        )(_runner(point))


def _runner(point: EntryPoint) -> Callable[[typer.Context], None]:
    def run(ctx: typer.Context) -> None:
        _command_of(point)(
            args=ctx.args,
            prog_name=f"{ctx.find_root().info_name} {point.name}",
            help_option_names=ctx.help_option_names,
        )

    return run


def _command_of(point: EntryPoint) -> Callable[..., object]:
    try:
        loaded = point.load()
    except ModuleNotFoundError as missing:
        raise UsageProblemError(
            f"`{point.name}` needs the Python module {missing.name!r}, which is not installed.",
            hint="In a checkout `make install` brings what training needs (or `pip install '.[worker]'`).",
        ) from missing
    if isinstance(loaded, typer.Typer):
        return loaded
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command()(loaded)
    return alone
