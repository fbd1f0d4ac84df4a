"""The report is what its JSON Schema says, and docs/report.md explains every field of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.report_schema import JOB_REPORT, PATH, SCHEMA
from tests.reports import real_report
from worker.training.reporting.report import SCHEMA_VERSION

PAGE = PATH.with_name("report.md").read_text(encoding="utf-8")


def rows(schema: dict[str, Any], path: str) -> Iterator[str]:
    """A line of the page for every field below a schema."""
    for name, field in schema.get("properties", {}).items():
        where = f"{path}{name}"
        yield f"| `{where}` | {field['description']} |"
        if "properties" in field:
            yield from rows(field, f"{where}.")
        yield from rows(field.get("items", {}), f"{where}[].")


def test_a_real_report_is_as_the_schema_says() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    JOB_REPORT.validate(real_report())
    assert SCHEMA["properties"]["schema_version"]["const"] == SCHEMA_VERSION


@pytest.mark.parametrize(
    "at",
    [
        *((), ("dataset",), ("arms", "cascade"), ("arms", "cascade", "seeds", 0), ("protocol",)),
        *(("stability",), ("stability", "arms", "cascade", "changes", 1)),
    ],
)
def test_a_field_that_is_not_described_is_noticed(at: tuple[Any, ...]) -> None:
    report = copy.deepcopy(real_report())
    part: Any = report
    for step in at:
        part = part[step]
    part["undescribed"] = 1
    assert not JOB_REPORT.is_valid(report)
    del part["undescribed"]
    part.pop(next(iter(part)))
    assert not JOB_REPORT.is_valid(report)


def test_a_report_without_stability_is_one_too() -> None:
    JOB_REPORT.validate({**real_report(), "stability": None})


def test_every_field_is_explained() -> None:
    described = [*rows(SCHEMA, "")]
    for name, part in SCHEMA["$defs"].items():
        described += rows(part, f"{name}.")
    assert len(described) > 120
    assert [line for line in described if line not in PAGE] == []
