"""What the doctor says of a log: findings as data, and the fixes that can be asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["info", "warning", "error"]

EXAMPLES = 3
"""A finding shows so many examples."""


@dataclass(frozen=True)
class Fix:
    """What can be done: a transform makes another data set, a setting belongs to a job (`value` is its)."""

    kind: Literal["transform", "setting"]
    name: str
    description: str
    value: str | int | float | bool | None = None


@dataclass(frozen=True)
class Finding:
    """One property of a log that its owner should know.

    count: what it concerns, in `unit`; share: of all of those, 0 to 1. rows: 0-based rows of the file, the
    first few, ascending; lines: the same as a text editor counts them. examples: as they stand in the log,
    except that what looks like personal data is masked. facts: figures with names.
    """

    code: str
    severity: Severity
    message: str
    count: int
    unit: Literal["interactions", "users", "items", "targets"]
    share: float
    rows: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    fix: Fix | None = None

    def as_json(self) -> dict[str, Any]:
        """The finding as it is stored: JSON values, lines without the rows."""
        values = asdict(self)
        del values["rows"]
        return values


def percent(share: float) -> str:
    """A share for a sentence: 44 %, 0.3 %, under 0.1 %."""
    if 0 < share < 0.001:
        return "under 0.1 %"
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def counted(count: int, what: str) -> str:
    """A number and its noun, such as 1 user, 2,000 users; `what` is the plural."""
    return f"{count:,} {what.removesuffix('s') if count == 1 else what}"
