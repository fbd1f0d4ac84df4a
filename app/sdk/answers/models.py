"""What is said of models and their aliases, as types: warnings, conditions of an alias, its checks and moves.

Plain dicts, as the service sent them, with whatever fields a newer one adds; times are RFC 3339 in UTC. A
test holds them to the service's OpenAPI document.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class ModelWarning(TypedDict):
    """What came after a model was trained: users of its data set were forgotten."""

    code: str
    message: str
    dataset: str
    made_dataset: str
    users: int
    at: str


class Condition(TypedDict):
    """What a model has to meet before an alias moves to it: a metric, of an attack if any, and a rule."""

    metric: str
    position: NotRequired[str]
    count: NotRequired[int]
    replacement: NotRequired[str]
    at_least: NotRequired[float | None]
    at_most: NotRequired[float | None]
    at_least_of_current: NotRequired[float | None]
    at_most_of_current: NotRequired[float | None]


class Check(TypedDict):
    """A condition as it was found: what was needed, and by how much it was missed."""

    pointer: str
    metric: str
    attack: dict[str, Any] | None
    rule: Literal["at_least", "at_most", "at_least_of_current", "at_most_of_current"]
    value: float | None
    current: float | None
    needed: float | None
    missing_by: float | None
    passed: bool
    message: str


class AliasValidation(TypedDict):
    """An alias that would be let through."""

    object: Literal["model.alias.validation"]
    valid: Literal[True]
    name: str
    alias: str
    model: str
    version: int
    from_version: int | None
    checks: list[Check]


class AliasMove(TypedDict):
    """One move of an alias; `forced` where it went past its conditions."""

    from_model: str | None
    from_version: int | None
    to_model: str | None
    to_version: int | None
    checks: list[dict[str, Any]]
    forced: bool
    api_key: str | None
    at: str
