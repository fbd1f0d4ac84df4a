"""`steadyrank datasets download` and `delete`: the file as it was uploaded, and taking it away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.exits import UsageProblemError
from app.cli.output import AsJson, connect, print_freed, print_json, size_text
from app.sdk.downloads import safe_target, sha256_of

DatasetId = Annotated[str, typer.Argument(metavar="DATASET", help="A data set's id (ds_…).")]


def download(
    ctx: typer.Context,
    dataset: DatasetId,
    file: Annotated[
        Path | None,
        typer.Argument(dir_okay=False, help="Where to; its own file name by default.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Download a data set as it was uploaded; resumes, and checks its SHA-256."""
    with connect(ctx) as client:
        found = client.datasets.get(dataset)
        target = file or safe_target(Path(), Path(found.filename or found.id).name)
        if file is None and target.exists() and (target.is_dir() or sha256_of(target) != found.sha256):
            hint = f"Say where to: steadyrank datasets download {dataset} FILE."
            raise UsageProblemError(f"{target} exists, and is another file", hint=hint)
        client.datasets.content(found, target)
    if as_json:
        print_json({"file": str(target), "bytes": found.bytes, "sha256": found.sha256})
    else:
        typer.echo(f"{dataset} is in {target}, {size_text(found.bytes)}")


def delete(ctx: typer.Context, dataset: DatasetId, as_json: AsJson = False) -> None:
    """Delete a data set; what was trained on it keeps its hashes."""
    with connect(ctx) as client:
        answer = client.datasets.delete(dataset)
    print_freed(answer, dataset, as_json)
