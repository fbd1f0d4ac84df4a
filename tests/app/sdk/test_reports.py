"""The SDK's types of reports say what the schema says, which real reports are held to elsewhere."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from app.sdk.reports import EvaluationReport, JobReport
from tests.report_schema import EVALUATION, SCHEMA
from tests.typed_json import faults


def test_a_jobs_report() -> None:
    assert list(faults(JobReport, SCHEMA, SCHEMA)) == []


def test_an_evaluations_report() -> None:
    assert list(faults(EvaluationReport, EVALUATION, SCHEMA)) == []


@pytest.mark.parametrize(
    ("at", "change", "fault"),
    [
        (("properties",), {"new": {"type": "string"}}, ".new: only in the schema"),
        (("$defs", "attack", "properties"), {"kept": None}, ".arms.*.attacks[].kept: only in the type"),
        (("$defs", "slice", "properties", "from"), {"type": "number"}, ".arms.*.slices[].from: ['integer']"),
        (("properties", "verdict"), {"type": ["string", "null"]}, ".verdict: ['string'] in the type"),
        (("properties", "dataset"), {"required": []}, ".dataset.users: is never left out, says the type"),
        ((), {"required": ["warm_start"]}, ".warm_start: may be left out, says the type"),
        (("properties", "schema_version"), {"const": 2}, ".schema_version: ['1'] in the type, ['2']"),
        (("properties", "spec"), {"properties": {"epochs": {}}}, ".spec: any names in the type, ['epochs']"),
        (("properties", "arms"), {"additionalProperties": {"type": "string"}}, ".arms.*: ['object']"),
    ],
)
def test_what_drifts_is_noticed(at: tuple[str, ...], change: dict[str, Any], fault: str) -> None:
    schema = copy.deepcopy(SCHEMA)
    part = schema
    for step in at:
        part = part[step]
    for name, value in change.items():
        if value is None:
            del part[name]
        else:
            part[name] = value
    assert any(found.startswith(fault) for found in faults(JobReport, schema, schema))
