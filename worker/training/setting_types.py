"""Types of settings' values whose bounds stand in their JSON Schema too."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import Field

T = TypeVar("T")

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Distinct = Annotated[tuple[T, ...], Field(json_schema_extra={"uniqueItems": True})]
"""A list that names no value twice: `TrainSpec` refuses one that does, and says all of its faults at once."""


def kinds_of(annotation: Any) -> frozenset[type]:
    """The types of JSON scalars that a value with this annotation, or a list of them, is made of."""
    if get_origin(annotation) is Literal:
        return frozenset(type(value) for value in get_args(annotation))
    if get_origin(annotation) is Annotated:
        return kinds_of(get_args(annotation)[0])
    if arguments := get_args(annotation):
        return frozenset().union(*(kinds_of(one) for one in arguments if one is not Ellipsis))
    return frozenset({annotation})


def refuse_other_kinds(given: Any, kinds: frozenset[type]) -> None:
    """Raise ValueError for true or text where a number is meant, and the reverse; also within a list."""
    for value in given if isinstance(given, list | tuple) else (given,):
        if isinstance(value, str) and str not in kinds:
            wanted = "true or false" if bool in kinds else "a number"
            raise ValueError(f"must be {wanted}, not text")
        if isinstance(value, bool) and bool not in kinds:
            raise ValueError(f"must be {'a number' if kinds & {int, float} else 'text'}, not true or false")
        if isinstance(value, int | float) and not isinstance(value, bool) and not kinds & {int, float}:
            raise ValueError(f"must be {'true or false' if bool in kinds else 'text'}, not a number")
