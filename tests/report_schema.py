"""docs/report.schema.json, and a validator for each of the two kinds of report that it describes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

PATH = Path(__file__).resolve().parents[1] / "docs/report.schema.json"
SCHEMA: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
EVALUATION: dict[str, Any] = SCHEMA["$defs"]["evaluation"]

JOB_REPORT = Draft202012Validator(SCHEMA)
EVALUATION_REPORT = Draft202012Validator(
    {"$ref": "urn:report#/$defs/evaluation"},
    registry=Registry().with_resource("urn:report", Resource.from_contents(SCHEMA)),
)
