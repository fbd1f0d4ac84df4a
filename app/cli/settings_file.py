"""Training settings from `--spec` files and `--set name=value`; later ones win."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.cli.exits import UsageProblemError

_NO_SETTINGS = {
    "idempotency_key": "Say --idempotency-key.",
    "estimate": "For an estimate by a few steps, say --probe.",
    "self": "`steadyrank capabilities` lists the settings.",
}
"""What would be taken for a parameter of the SDK's method, and what to do instead."""


def read_spec(path: Path) -> dict[str, Any]:
    """Read a JSON or TOML file of training settings; UsageProblemError when it is not one."""
    try:
        text = path.read_text(encoding="utf-8")
        parsed = tomllib.loads(text) if path.suffix.lower() == ".toml" else _json(text)
    except (ValueError, tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise UsageProblemError(
            f"{path}: not readable as {'TOML' if path.suffix.lower() == '.toml' else 'JSON'}: {broken}"
        ) from broken
    if not isinstance(parsed, dict):
        raise UsageProblemError(f'{path}: must hold an object of settings, such as {{"epochs": 50}}')
    return parsed


def read_job(path: Path | None, assignments: Sequence[str], dataset: str) -> dict[str, Any]:
    """Read the settings of a job on this data set; a body of POST /v1/jobs, which names it too, will do.

    UsageProblemError where file or `--set` has another data set, labels that are none, or what only looks
    like a setting.
    """
    from_file = read_spec(path) if path else {}
    from_set = read_assignments(assignments)
    for place, given in ((str(path), from_file), ("--set", from_set)):
        named = given.pop("dataset", dataset)
        if named != dataset:
            raise UsageProblemError(
                f"{place}: is for the data set {named!r}, and the command for {dataset}",
                hint="Leave `dataset` out there, or name the same one.",
            )
        for name, instead in _NO_SETTINGS.items():
            if name in given:
                raise UsageProblemError(f"{place}: {name!r} is no setting of a job", hint=instead)
        if not isinstance(given.get("labels", {}), dict):
            raise UsageProblemError(f"{place}: labels must be an object", hint="Or say: --label owner=ana")
    return from_file | from_set


def read_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Read `name=value` pairs. A value is JSON where it can be (20, 0.5, true, null, [1,2]), else text."""
    settings: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise UsageProblemError(
                f"--set {assignment!r}: not of the form name=value", hint="For example: --set epochs=20"
            )
        try:
            settings[name.strip()] = _json(value)
        except ValueError:
            settings[name.strip()] = value
    return settings


def _json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def split_names(text: str | None) -> list[str] | None:
    """`a,b` as a list; None stays None."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
