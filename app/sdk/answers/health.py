"""Whether the service is up, as types: plain dicts, held to the service's OpenAPI document by a test."""

from __future__ import annotations

from typing import Literal, TypedDict


class Health(TypedDict):
    """The API process answers."""

    status: Literal["ok"]


class Readiness(TypedDict):
    """Each thing that the service needs, and that it is there."""

    status: Literal["ready"]
    checks: dict[str, str]
