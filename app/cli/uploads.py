"""`steadyrank uploads …`: large files that went up in parts and were broken off."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from app.cli.output import (
    AsJson,
    Limit,
    connect,
    newest,
    print_fields,
    print_freed,
    print_json,
    print_rows,
    size_text,
    status_text,
    time_text,
)

app = typer.Typer(
    no_args_is_help=True,
    help="Look at uploads in parts, and abandon them; `datasets upload` makes them and goes on with them.",
)
UploadId = Annotated[str, typer.Argument(metavar="UPLOAD", help="An upload's id (up_…).")]


@app.command("list")
def list_(
    ctx: typer.Context,
    status: Annotated[str | None, typer.Option(help="Only open or completed ones.")] = None,
    sha256: Annotated[str | None, typer.Option(help="Only those of the file with this SHA-256.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List uploads, newest first."""
    with connect(ctx) as client:
        found = newest(client.uploads.list, limit=limit, status=status, sha256=sha256)
    if as_json:
        print_json([upload.raw for upload in found])
        return
    print_rows(
        ("id", "status", "file", "arrived", "size", "data set", "expires"),
        (
            (
                row.id,
                row.status,
                escape(row.filename or ""),
                size_text(row.received_bytes),
                "" if row.bytes is None else size_text(row.bytes),
                row.dataset or "",
                time_text(row.expires_at),
            )
            for row in found
        ),
        empty="No uploads in parts. `steadyrank datasets upload FILE` sends files over 64 MiB so.",
    )


@app.command()
def show(ctx: typer.Context, upload: UploadId, as_json: AsJson = False) -> None:
    """Show an upload: what has arrived, and which parts are missing."""
    with connect(ctx) as client:
        found = client.uploads.get(upload)
    if as_json:
        print_json(found.raw)
        return
    print_fields(
        [
            ("id", found.id),
            ("status", status_text(found.status)),
            ("file", escape(found.filename or "")),
            ("size", "" if found.bytes is None else size_text(found.bytes)),
            ("arrived", f"{size_text(found.received_bytes)} in {len(found.parts)} parts"),
            ("missing", ", ".join(str(n) for n in found.missing)),
            ("data set", found.dataset or ""),
            ("expires", time_text(found.expires_at)),
        ]
    )


@app.command()
def abandon(ctx: typer.Context, upload: UploadId, as_json: AsJson = False) -> None:
    """Forget an upload that is not complete, and free its bytes."""
    with connect(ctx) as client:
        answer = client.uploads.abandon(upload)
    print_freed(answer, upload, as_json, verb="Abandoned")
