"""What a data set's bytes become: interactions, findings, a preview; read from a file, or made of others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from app.datasets.forgetting import FORGET, hash_user
from worker.training.data.content import content_sha256
from worker.training.data.readers.checks import stats_of
from worker.training.data.readers.problems import Problem
from worker.training.data.readers.read import OpenFile, ReadOptions, read_interactions
from worker.training.data.readers.source import refuse
from worker.training.doctor.examine import examine
from worker.training.doctor.findings import Finding
from worker.training.doctor.fixes import transform
from worker.training.doctor.log import log_of
from worker.training.doctor.preview import preview_of

UNKNOWN_NAMED = 1000
"""So many users who are not in the data set are named, by their place in the request."""

_DOCTOR_FAILED = Finding(
    "doctor_failed",
    "warning",
    "The log could not be examined, for a reason that is the service's own; it can be used all the same.",
    *(0, "interactions", 0.0),
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Content:
    """A data set as understood. steps: the transforms that made it of another, with what each did."""

    interactions: pl.DataFrame
    format: str
    columns: Mapping[str, Any]
    stats: Mapping[str, Any]
    problems: Sequence[Problem]
    content_sha256: str
    findings: Sequence[Mapping[str, Any]]
    preview: Mapping[str, Any]
    steps: list[dict[str, Any]] = field(default_factory=list)


def content_of_file(path: Path, options: ReadOptions, filename: str) -> Content:
    """Read an uploaded file and look at what is in it. UnreadableDataset when it cannot be used."""
    seen: list[tuple[list[dict[str, Any]], dict[str, Any]]] = []

    def look(file: OpenFile) -> None:
        interactions, rows = file.result.interactions, file.result.rows
        seen.append(
            (_examined(interactions, rows, file.lines_of), preview_of(interactions, rows, file.plain))
        )

    result = read_interactions(path, options, filename=filename, inspect=look)
    ((findings, preview),) = seen
    return Content(
        result.interactions,
        result.format,
        result.columns,
        result.stats,
        result.problems,
        content_sha256(result.interactions),
        findings,
        preview,
    )


def content_of_parent(
    parent: pl.DataFrame, steps: Sequence[Mapping[str, Any]], to_forget: Mapping[str, Any] | None
) -> Content:
    """Make a data set of another one's interactions. UnreadableDataset when nothing usable is left."""
    interactions, done = parent, []
    for step in steps:
        if step["name"] == FORGET:
            interactions, told = _without_users(interactions, to_forget or {"salt": "", "hashes": []})
        else:
            interactions, told = transform(interactions, [str(step["name"])], now=datetime.now(UTC))
        done += told
    if interactions.is_empty():
        refuse("nothing_left", "no interaction is left", "Leave out fewer transforms or users.")
    stats = stats_of(interactions, [])
    rows = pl.Series("row", range(len(interactions)), dtype=pl.UInt32)
    named = {"user": "user", "item": "item", "time": "timestamp", "rating": "rating"}
    columns = {role: name if name in interactions.columns else None for role, name in named.items()}
    return Content(
        interactions,
        "parquet",
        {**columns, "guessed": False},
        stats,
        [],
        content_sha256(interactions),
        _examined(interactions, rows, lambda numbers: [number + 1 for number in numbers]),
        preview_of(interactions, rows, None),
        done,
    )


def _without_users(
    interactions: pl.DataFrame, order: Mapping[str, Any]
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """Leave out the users with these salted hashes; UnreadableDataset when there is none of them."""
    salt, hashes = bytes.fromhex(order["salt"]), list(order["hashes"])
    wanted, users = set(hashes), interactions["user"].unique()
    named = {hashed: user for user in users if (hashed := hash_user(salt, user)) in wanted}
    if not named:
        refuse(
            "unknown_users",
            f"none of the {len(wanted)} users is in the data set",
            "Give the ids exactly as they stand in it: GET /v1/datasets/{id}/preview shows some.",
            "/users",
        )
    kept = interactions.filter(~pl.col("user").is_in(list(named.values())))
    unknown = [place for place, hashed in enumerate(hashes) if hashed not in named]
    step = {
        "name": FORGET,
        "users_named": len(wanted),
        "users_removed": len(named),
        "users_unknown": len(wanted) - len(named),
        "unknown_at": unknown[:UNKNOWN_NAMED],
        "interactions_before": len(interactions),
        "interactions_after": len(kept),
    }
    return kept, [step]


def _examined(
    interactions: pl.DataFrame, rows: pl.Series, lines_of: Callable[[Sequence[int]], list[int]]
) -> list[dict[str, Any]]:
    try:
        return [finding.as_json() for finding in examine(log_of(interactions, rows), lines_of)]
    except (OSError, MemoryError):
        raise
    except (Exception, pl.exceptions.PanicException):
        # The data set is good to train on; that it was not examined is said among the findings.
        logger.exception("the doctor failed")
        return [_DOCTOR_FAILED.as_json()]
