"""Ids that are written in two ways: one thing to their owner, two to whoever reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from worker.training.doctor.findings import EXAMPLES, Finding, Fix, Severity, counted, percent
from worker.training.doctor.log import Log
from worker.training.doctor.personal import masked_if_personal

Writing = Callable[[pl.Expr], pl.Expr]


@dataclass(frozen=True)
class Trap:
    """One way of writing an id differently, and how to undo it."""

    code: str
    severity: Severity
    what: str
    fix: Fix
    one_way: Writing
    always: bool = False
    """Told of even where no two ids meet."""


_BLANK = r"^[\s\u{feff}\u{200b}]+|[\s\u{feff}\u{200b}]+$"


def _fix(name: str, description: str) -> Fix:
    return Fix("transform", name, description)


TRAPS = (
    Trap(
        "id_spaces",
        "warning",
        "white space around the id",
        _fix("strip_ids", "Remove white space around ids."),
        lambda ids: ids.str.replace_all(_BLANK, ""),
        always=True,
    ),
    Trap(
        "id_number_formats",
        "warning",
        "whole numbers with and without `.0`",
        _fix("merge_number_ids", "Write `1.0` as `1`."),
        lambda ids: ids.str.replace(r"^(-?\d+)\.0+$", "$1"),
    ),
    Trap(
        "id_leading_zeros",
        "warning",
        "numbers with and without leading zeros",
        _fix("strip_leading_zeros", "Write `007` as `7`."),
        lambda ids: ids.str.replace(r"^0+(\d+)$", "$1"),
    ),
    Trap(
        "id_cases",
        "info",
        "upper and lower case",
        _fix("lowercase_ids", "Write ids in lower case."),
        lambda ids: ids.str.to_lowercase(),
    ),
    Trap(
        "id_unicode_forms",
        "warning",
        "different Unicode forms of the same letters",
        _fix("normalize_ids", "Bring ids to the Unicode form NFC."),
        lambda ids: ids.str.normalize("NFC"),
    ),
)
REWRITINGS: Mapping[str, Writing] = {trap.fix.name: trap.one_way for trap in TRAPS}


def find_id_traps(log: Log) -> list[Finding]:
    """Ids of users and of items that differ only in how they are written."""
    found = []
    for role, ids in (("user", log.sequences.user_ids), ("item", log.sequences.item_ids)):
        series = pl.Series("id", ids, dtype=pl.String)
        for trap in TRAPS:
            finding = _find(log, role, series, trap)
            if finding is not None:
                found.append(finding)
    return found


def _find(log: Log, role: str, ids: pl.Series, trap: Trap) -> Finding | None:
    one_way = ids.to_frame().select(trap.one_way(pl.col("id")).alias("one_way"))["one_way"]
    changed = one_way != ids
    if not changed.any():
        return None
    meeting = one_way.is_duplicated()
    concerned = (changed | meeting) if trap.always else meeting
    count = int(concerned.sum())
    if not count:
        return None
    merged = len(ids) - one_way.n_unique()
    pairs = pl.DataFrame({"id": ids, "one_way": one_way}).filter(meeting if meeting.any() else concerned)
    groups = pairs.group_by("one_way", maintain_order=True).agg("id").head(EXAMPLES)["id"]
    owners = log.user_of if role == "user" else log.sequences.items - 1
    return Finding(
        trap.code,
        trap.severity,
        f"{counted(count, f'{role}s')} ({percent(count / len(ids))}) with {trap.what}: "
        + (f"{merged:,} of them would be the same as another." if merged else "none is the same as another."),
        count,
        "users" if role == "user" else "items",
        count / len(ids),
        rows=log.first_rows((changed & concerned).to_numpy()[owners]),
        examples=[" = ".join(repr(masked_if_personal(text)) for text in group[:4]) for group in groups],
        facts={"column": role, "would_be_merged": merged},
        fix=trap.fix,
    )
