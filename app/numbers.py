"""Numbers in requests: a JSON number, never true, false or text, which pydantic would take for one."""

from __future__ import annotations

from pydantic import BeforeValidator


def _a_number(given: object) -> object:
    if isinstance(given, bool | str):
        raise ValueError("must be a whole number")
    return given


NUMBER = BeforeValidator(_a_number)
"""Stands last in `Annotated[int, Field(ge=1), NUMBER]`, or the OpenAPI page would not show the limit."""
