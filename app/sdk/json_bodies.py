"""Bodies of requests as JSON, of what Python programs hold: numpy's numbers and sets as well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.sdk.errors import SteadyRankError


def encoded(body: Mapping[str, Any]) -> bytes:
    """Return the body as JSON. SteadyRankError, with the field's name, for what JSON cannot hold."""
    try:
        return _dumped(body)
    except (TypeError, ValueError):
        for name, value in body.items():
            try:
                _dumped(value)
            except (TypeError, ValueError) as odd:
                raise SteadyRankError(
                    f"{name}: {str(value)[:200]} cannot be sent: {odd}.",
                    hint="JSON has finite numbers, text, true, false, null, lists and objects.",
                ) from odd
        raise


def _dumped(value: Any) -> bytes:
    return json.dumps(
        value, default=_plain, allow_nan=False, ensure_ascii=False, separators=(",", ":")
    ).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value)
    if hasattr(value, "tolist"):  # numpy's numbers and arrays, and those of other libraries
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is not JSON")
