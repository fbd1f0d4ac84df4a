"""'Did you mean': what the fields of a request are called that are nearly called like one that is unknown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, get_args

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.types import Scope

from app.errors import ErrorItem


def with_spelling(items: Sequence[ErrorItem], scope: Scope) -> list[ErrorItem]:
    """The faults of a request; the hint of a body's unknown field names the one that was probably meant."""
    route = scope.get("route")
    field = route.body_field if isinstance(route, APIRoute) else None
    if field is None:
        return list(items)
    return [_spelt(item, field.field_info.annotation) for item in items]


def _spelt(item: ErrorItem, body: Any) -> ErrorItem:
    if item.code != "unknown_field" or not item.pointer.startswith("/"):
        return item
    *above, name = item.pointer[1:].split("/")
    models = list(_models(body))
    for step in above:
        if not step.isdecimal():  # a place in a list leads to what is in the list
            found = (one.model_fields.get(step) for one in models)
            models = [inner for one in found if one is not None for inner in _models(one.annotation)]
    near = get_close_matches(name, [known for one in models for known in one.model_fields], n=1)
    return replace(item, hint=f"Did you mean {near[0]!r}? {item.hint}") if near else item


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type is made of: itself, or those of a union, an optional or a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
