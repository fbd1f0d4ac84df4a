"""Gates: conditions on a model's figures that it has to meet before an alias may point at it.

A gate that cannot be checked (no such figure, or none that compares) does not let a model pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.db.models.model import Model
from app.errors import ConflictError, ErrorItem

_RULES = ("at_least", "at_most", "at_least_of_current", "at_most_of_current")
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Share = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
_Text = Annotated[str, Field(max_length=64)]


class Condition(BaseModel):
    """One figure, and what it must be: in itself, or as a share of that of the model that has the alias now.

    `test.ndcg@10` and `validation.hr@10` are figures of untouched histories; `attacked.ndcg@10`,
    `attacked.kept` and `attacked.overlap` of histories attacked as the three fields say.
    """

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    metric: Annotated[str, Field(max_length=80, pattern=r"^(test|validation|attacked)\.[a-z0-9@_]+$")]
    """`test.…`, `validation.…` or `attacked.…`, then the figure's name."""
    position: _Text = "end"
    """Where items are replaced; of attacked figures."""
    count: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many items are replaced; of attacked figures."""
    replacement: _Text = "uniform"
    """What they are replaced by; of attacked figures."""
    at_least: _Finite | None = None
    """The smallest value that passes."""
    at_most: _Finite | None = None
    """The largest value that passes."""
    at_least_of_current: _Share | None = None
    """The smallest value that passes, as a share of the current model's; passes when there is none yet."""
    at_most_of_current: _Share | None = None
    """The largest value that passes, as a share of the current model's."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if all(getattr(self, rule) is None for rule in _RULES):
            raise ValueError(f"give at least one of {', '.join(_RULES)}")
        return self

    @property
    def is_relative(self) -> bool:
        """Whether it needs the current model's figure."""
        return self.at_least_of_current is not None or self.at_most_of_current is not None


class Check(BaseModel):
    """What one rule of one condition found."""

    pointer: str = Field(description="The rule: in the request's promote_if, or in the alias's gates.")
    metric: str
    attack: dict[str, Any] | None = Field(description="position, count and replacement of attacked figures.")
    rule: Literal["at_least", "at_most", "at_least_of_current", "at_most_of_current"]
    value: float | None
    current: float | None = Field(description="The same figure of the model that has the alias now.")
    needed: float | None = Field(description="The value at which it passes; null when nothing is compared.")
    missing_by: float | None = Field(description="How far the value is on the wrong side; 0 when it passes.")
    passed: bool
    message: str


def check(
    conditions: Sequence[tuple[str, Condition]], candidate: Model, current: Model | None
) -> list[Check]:
    """Check every rule of these conditions, each with its pointer; no `current`: there is none to compare."""
    return [
        _rule(f"{pointer}/{rule}", condition, rule, candidate, current)
        for pointer, condition in conditions
        for rule in _RULES
        if getattr(condition, rule) is not None
    ]


def refuse_mixed(conditions: Sequence[Condition], candidate: Model, current: Model | None) -> None:
    """Refuse to compare figures that were measured differently. ConflictError (`mixed_protocol`)."""
    if current is None or not any(condition.is_relative for condition in conditions):
        return
    ours, theirs = (model.job_facts.get("protocol_hash") for model in (candidate, current))
    if ours is not None and ours == theirs:
        return
    raise ConflictError(
        f"{candidate.name}@{candidate.version} and {current.name}@{current.version} were measured under "
        "different protocols or on different data, so a share of the current model's figure says nothing.",
        code="mixed_protocol",
        pointer="/promote_if",
        hint="Train both on one data set with one evaluation, give at_least in place of at_least_of_current, "
        "or say allow_mixed_protocol: true.",
        extra={"protocol_hash": ours, "current_protocol_hash": theirs},
    )


def refuse_failed(checks: Sequence[Check], candidate: Model) -> None:
    """Refuse a model that does not pass. ConflictError (`gate_refused`), with each miss in `errors`."""
    failed = [one for one in checks if not one.passed]
    if not failed:
        return
    label = f"{candidate.name}@{candidate.version}"
    raise ConflictError(
        f"{label} does not pass {len(failed)} of {len(checks)} gates: "
        + "; ".join(one.message for one in failed)
        + ".",
        code="gate_refused",
        hint="Promote a model that passes, or change the conditions.",
        errors=[ErrorItem(one.pointer, _code(one), one.message, one.value) for one in failed],
        extra={"checks": [one.model_dump(mode="json") for one in checks]},
    )


def _code(miss: Check) -> str:
    return "metric_missing" if miss.value is None or miss.needed is None else miss.rule


def _rule(pointer: str, condition: Condition, rule: Any, candidate: Model, current: Model | None) -> Check:
    bound = float(getattr(condition, rule))
    value = _figure(candidate.metrics, condition)
    attacked = condition.metric.startswith("attacked.")
    attack = condition.model_dump(include={"position", "count", "replacement"}) if attacked else None
    what = condition.metric + (f" ({', '.join(map(str, attack.values()))})" if attack else "")
    relative = rule.endswith("_of_current")
    theirs = _figure(current.metrics, condition) if current is not None and relative else None
    needed = bound if not relative else (None if theirs is None else bound * theirs)
    missing_by: float | None = None
    passed = False
    if value is None:
        message = f"{candidate.name}@{candidate.version} has no figure {what}"
    elif relative and current is None:
        passed, missing_by, message = True, 0.0, f"{what}: no other model has the alias, nothing to compare"
    elif needed is None:
        message = f"the current model has no figure {what} to compare with"
    else:
        low = rule.startswith("at_least")
        missing_by = max(0.0, needed - value if low else value - needed)
        passed = missing_by == 0
        share = f" ({bound:g} of the current {theirs:.6g})" if relative else ""
        side = "below" if low else "above"
        wanted = f"at {'least' if low else 'most'} {needed:.6g}{share}"
        miss = "" if passed else f": {missing_by:.3g} {side} it"
        message = f"{what} is {value:.6g}, needed is {wanted}{miss}"
    return Check(
        pointer=pointer,
        metric=condition.metric,
        attack=attack,
        rule=rule,
        value=value,
        current=theirs,
        needed=needed,
        missing_by=missing_by,
        passed=passed,
        message=message,
    )


def _figure(metrics: Mapping[str, Any], condition: Condition) -> float | None:
    part, _, name = condition.metric.partition(".")
    if part == "attacked":
        wanted = (condition.position, condition.count, condition.replacement)
        rows = [row for row in metrics.get("attacks") or () if _attack_of(row) == wanted]
        source: Mapping[str, Any] = rows[0] if rows else {}
    else:
        source = metrics.get(part) or {}
    value = source.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _attack_of(row: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return row.get("position"), row.get("count"), row.get("replacement")
