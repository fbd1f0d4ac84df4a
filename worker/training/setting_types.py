"""Types of settings' values whose bounds stand in their JSON Schema too."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field

T = TypeVar("T")

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Distinct = Annotated[tuple[T, ...], Field(json_schema_extra={"uniqueItems": True})]
"""A list that names no value twice: `TrainSpec` refuses one that does, and says all of its faults at once."""
