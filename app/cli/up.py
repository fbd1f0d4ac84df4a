"""`steadyrank up`: the whole service on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.sdk.discovery import default_data_folder


def up(
    data_dir: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Folder of database, broker, logs and key.", show_default=False),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 8753 by default, 0 takes a free one.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Training processes.")] = 1,
) -> None:
    """Start database, broker, API and workers here, and watch them until Ctrl-C or SIGTERM."""
    from app.embedded.up import up as run

    raise typer.Exit(run(data_dir or default_data_folder(), host, port, workers))
