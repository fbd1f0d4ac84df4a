"""Pydantic's errors as `errors[]` items: a pointer, a short code of ours, what was got, and what to do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from app.errors import ErrorItem

_RANGE_TYPES = {
    "greater_than",
    "greater_than_equal",
    "less_than",
    "less_than_equal",
    "too_short",
    "too_long",
    "string_too_short",
    "string_too_long",
    "finite_number",
}
_LOCATIONS = {"query": "?", "path": "path:", "header": "header:", "cookie": "cookie:"}
_LIMITS = {
    "gt": "above",
    "ge": "at least",
    "lt": "below",
    "le": "at most",
    "min_length": "of length at least",
    "max_length": "of length at most",
}
_HINTS = {
    "unknown_field": "Remove it, or check its spelling; GET /v1/capabilities and /docs name every field.",
    "missing": "Give this field.",
    "not_sent_as_json": "Send a JSON object, with the header Content-Type: application/json.",
}
_ANYWAY = "/docs says what it may be; GET /v1/capabilities has every training setting."
_LONGEST_GOT = 200
MOST_ITEMS = 100
"""Most faults that one answer shows: a body of 1 MB can have 200,000, and to tell them would take 47 MB."""


def error_items(errors: Iterable[Mapping[str, Any]]) -> list[ErrorItem]:
    """Items for the first errors of a pydantic ValidationError or a FastAPI RequestValidationError.

    A fault of the body has a JSON pointer ("/epochs", "" for the whole body), one of the query "?limit".
    """
    return [_item(error) for error in islice(errors, MOST_ITEMS)]


def _item(error: Mapping[str, Any]) -> ErrorItem:
    kind = str(error.get("type", "invalid"))
    code = _code(kind)
    message = str(error.get("msg", "not valid")).removeprefix("Value error, ").replace("valid tuple", "list")
    got = None if code == "missing" else _shown(error.get("input"))
    location = () if code == "invalid_json" else tuple(error.get("loc", ()))
    return ErrorItem(_pointer(location), code, message, got, _hint(code, error))


def _pointer(location: tuple[Any, ...]) -> str:
    if location and location[0] in _LOCATIONS:
        return _LOCATIONS[location[0]] + ".".join(str(part) for part in location[1:])
    parts = location[1:] if location and location[0] == "body" else location
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _code(kind: str) -> str:
    if kind == "extra_forbidden":
        return "unknown_field"
    if kind in _RANGE_TYPES:
        return "out_of_range"
    if kind in {"literal_error", "enum"}:
        return "not_a_choice"
    if kind == "json_invalid":
        return "invalid_json"
    if kind.endswith(("_type", "_parsing", "_from_float")):
        return "wrong_type"
    return "invalid" if kind in {"value_error", "assertion_error"} else kind


def _hint(code: str, error: Mapping[str, Any]) -> str | None:
    context = error.get("ctx") or {}
    if code == "not_a_choice" and "expected" in context:
        return f"Use {context['expected']}."
    if code == "out_of_range":
        limits = [f"{words} {context[name]}" for name, words in _LIMITS.items() if name in context]
        return f"It must be {' and '.join(limits)}." if limits else _ANYWAY
    if code == "invalid_json":
        return f"The body is not JSON: {context.get('error', 'syntax error')}."
    if error.get("type") in {"tuple_type", "list_type"} and isinstance(error.get("input"), str):
        return f"Send a list: {json.dumps(error['input'].split(','))[:_LONGEST_GOT]}"
    if error.get("type") == "model_attributes_type" and isinstance(error.get("input"), str | bytes):
        code = "not_sent_as_json"
    return _HINTS.get(code, _ANYWAY)


def _shown(got: Any) -> Any:
    """`got` as short JSON: long or unserialisable values are cut to text."""
    try:
        text = json.dumps(got, allow_nan=False)
    except RecursionError:  # it could just be read, and cannot be written
        return f"a {type(got).__name__}, nested too deeply to be shown"
    except (TypeError, ValueError):
        text = repr(got)
        return text[:_LONGEST_GOT]
    return got if len(text) <= _LONGEST_GOT else text[:_LONGEST_GOT] + "…"
