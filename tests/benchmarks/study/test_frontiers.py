"""Arms as frontiers: what each has under attack at so much clean accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from benchmarks.study.cells import Cell
from benchmarks.study.frontiers import Frontiers, figure, frontiers_of, table
from benchmarks.study.planning import Plan
from benchmarks.study.records import Record
from benchmarks.study.rules import RULES

Make = Callable[..., Record]
DENSE = Cell("ml-100k", "sasrec")
CLEAN = {0.1: 0.103, 0.2: 0.099, 0.3: 0.097, 0.5: 0.090}


@pytest.fixture
def records(record: Make) -> dict[str, Record]:
    """Of each arm the same figures: the more is moved, the steadier and the less accurate."""
    plan = Plan(RULES, lambda cell: {})
    found = {}
    for run in plan.first_trials(DENSE):
        share = run.changes.get("perturb_share", run.changes.get("replace_share"))
        figures = {"clean": CLEAN.get(share, 0.1), "attacked": 0.02 + (share or 0.0) / 10}
        found[run.key] = record(run.key, arm=run.arm, changes=run.changes, **figures)
    return found


def frontiers(records: dict[str, Record]) -> Frontiers | None:
    return frontiers_of(DENSE, records, Plan(RULES, lambda cell: records))


def test_the_steadiest_of_the_accurate_is_told_for_each_arm(records: dict[str, Record]) -> None:
    found = frontiers(records)
    assert found is not None
    rows = {row.split("|")[1].strip(): row for row in table(found).splitlines() if row.startswith("| `")}
    assert list(rows) == ["`adversarial`", "`cascade`", "`cascade_replacement`"]
    assert rows["`cascade`"].startswith(
        "| `cascade` | 0.0500 (0.3) | 0.0400 (0.2) | 0.0300 (0.1) | 0.0300 (0.1) |"
    )
    # 0.4 is a share of adversarial's alone, as accurate as standard.
    assert "0.0600 (0.4) | 0.0600 (0.4) | 0.0600 (0.4) | 0.0300 (0.1)" in rows["`adversarial`"]
    worse = {
        key: replace(one, validation={"ndcg@10": 0.05}) if one.arm == "cascade" else one
        for key, one in records.items()
    }
    without = frontiers(worse)
    assert without is not None
    assert "| `cascade` | none | none | none | none |" in table(without)


def test_settings_that_differ_in_more_than_the_share_are_lines_of_their_own(
    records: dict[str, Record],
) -> None:
    found = frontiers(records)
    assert found is not None
    drawn = figure(found)
    labels = "".join(ET.fromstring(drawn.svg).itertext())  # noqa: S314 - drawn here
    for label in ("standard", "adversarial", "cascade", "cascade, c 2", "cascade_replacement, c 2"):
        assert label in labels
    assert drawn.name == "frontiers_ml_100k_sasrec_paper"


def test_without_a_search_or_before_it_there_is_none(records: dict[str, Record]) -> None:
    assert frontiers({}) is None
    assert frontiers_of(Cell("toys", "sasrec"), records, Plan(RULES, lambda cell: records)) is None
    without_cascade = {key: one for key, one in records.items() if one.arm != "cascade"}
    assert frontiers(without_cascade) is None
