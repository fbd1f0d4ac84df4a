"""Labels on the command line: `--label KEY=VALUE`."""

from __future__ import annotations

import typer

from app.cli.exits import UsageProblemError

LABEL = typer.Option("--label", metavar="KEY=VALUE", help="A label; may be repeated.")
LABEL_FILTER = typer.Option("--label", metavar="KEY[=VALUE]", help="Only those with it; may be repeated.")


def parted(labels: list[str] | None) -> list[tuple[str, str, str]]:
    """Key, `=` or nothing, and value of each label."""
    return [label.partition("=") for label in labels or ()]


def labels_to_set(labels: list[str] | None) -> dict[str, str]:
    """Labels to give to a job; UsageProblemError for one without a value."""
    for label, (_, equals, _) in zip(labels or (), parted(labels), strict=True):
        if not equals:
            raise UsageProblemError(f"--label {label} has no value.", hint="Write --label KEY=VALUE.")
    return {key: value for key, _, value in parted(labels)}
