"""What is wrong with a file, said so that its owner can mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

MAX_LINES_NAMED = 10
"""A problem that many rows share names this many lines and counts the rest."""


@dataclass(frozen=True)
class Problem:
    """One fault or remark.

    pointer: where it is ("/columns/user", "/lines/17", "/" for the file). hint: what to do about it.
    severity: an "error" makes the data set unusable, a "warning" does not. line, lines: 1-based lines of the
    decompressed file, its header included (rows for parquet, which has no lines); lines holds the first few.
    count: how many rows have this problem, 0 where it is not about rows.
    """

    code: str
    message: str
    pointer: str
    hint: str
    severity: Literal["error", "warning"] = "error"
    line: int | None = None
    lines: list[int] = field(default_factory=list)
    count: int = 0


class UnreadableDataset(Exception):  # noqa: N818 - the name the service and its users know it by
    """The content cannot become interactions; `problems` says why, warnings included."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        errors = [problem for problem in self.problems if problem.severity == "error"]
        super().__init__("; ".join(f"{problem.code}: {problem.message}" for problem in errors))


def about_lines(
    code: str,
    what: str,
    hint: str,
    lines: Sequence[int],
    count: int,
    *,
    unit: str = "line",
    severity: Literal["error", "warning"] = "error",
) -> Problem:
    """Build the problem of `count` rows, the first of which stand at `lines` (ascending; [] if unknown)."""
    named = list(lines[:MAX_LINES_NAMED])
    where = f"{unit}{'s' if len(named) > 1 else ''} {', '.join(map(str, named))}"
    if not named:
        where = f"{count} {unit}s"
    elif count > len(named):
        where += f" and {count - len(named)} more"
    return Problem(
        code=code,
        message=f"{what} at {where}",
        pointer=f"/{unit}s/{named[0]}" if named else "/",
        hint=hint,
        severity=severity,
        line=named[0] if named else None,
        lines=named,
        count=count,
    )
