"""How the commands print a data set and the fixes of its findings."""

from __future__ import annotations

from typing import Literal

from rich.markup import escape

from app.cli.exits import show_problem
from app.cli.output import print_fields, print_json, size_text, status_text, time_text
from app.console import new_console
from app.sdk.answers.datasets import DatasetFinding, DatasetProblem, FindingFix
from app.sdk.objects.datasets import Dataset

Role = Literal["user", "item", "time", "rating"]
ROLES: tuple[Role, ...] = ("user", "item", "time", "rating")
_User = Literal["jobs", "models", "datasets", "evaluations", "batches"]
_USERS: tuple[_User, ...] = ("jobs", "models", "datasets", "evaluations", "batches")


def show_dataset(dataset: Dataset, as_json: bool) -> None:
    """Print a data set, or the JSON that the service gave."""
    if as_json:
        print_json(dataset.raw)
        return
    stats, columns = dataset.stats, dataset.columns
    print_fields(
        [
            ("id", dataset.id),
            ("name", f"{escape(dataset.name)} (version {dataset.version})"),
            ("status", status_text(dataset.status)),
            ("file", f"{escape(dataset.filename or '')} {size_text(dataset.bytes)} {dataset.format or ''}"),
            (
                "columns",
                ", ".join(f"{role} = {escape(columns[role])}" for role in ROLES if columns.get(role))
                + (" (guessed)" if columns.get("guessed") else ""),
            ),
            (
                "counts",
                ", ".join(f"{stats[c]} {c}" for c in ("users", "items", "interactions") if c in stats),
            ),
            ("from", str(stats.get("first_at") or "")),
            ("to", str(stats.get("last_at") or "")),
            ("sha256", dataset.sha256),
            ("made of", _lineage_text(dataset)),
            ("same as", dataset.same_content_as or ""),
            ("used by", _used_text(dataset)),
            ("created", time_text(dataset.created_at)),
        ]
    )
    console = new_console()
    for problem in dataset.problems:
        show_problem(console, problem)


def fix_text(fix: FindingFix | None) -> str:
    """What a finding's fix is called; nothing where there is none."""
    if fix is None:
        return ""
    return escape(fix["name"] if fix["kind"] == "transform" else f"{fix['name']}={fix['value']} (of a job)")


def lines_text(found: DatasetProblem | DatasetFinding) -> str:
    """The first three lines that a problem or finding is on."""
    return ", ".join(map(str, found["lines"][:3]))


def _lineage_text(dataset: Dataset) -> str:
    if dataset.lineage is None:
        return ""
    steps = ", ".join(str(step["name"]) for step in dataset.lineage["transforms"])
    return escape(f"{dataset.lineage['parent']} by {steps}")


def _used_text(dataset: Dataset) -> str:
    counts = ((kind, dataset.used_by.get(kind, 0)) for kind in _USERS)
    return ", ".join(f"{count} {kind}" for kind, count in counts if count)
