"""Times in requests: RFC 3339 with an offset, and nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d")


def _as_text(given: object) -> object:
    """Refuse what pydantic would take for seconds since 1970: numbers, also as text."""
    if isinstance(given, bool | int | float) or (isinstance(given, str) and not _DATE.match(given)):
        raise ValueError("must be a time as in RFC 3339, such as 2025-11-23T13:48:00Z")
    return given


def _within_utc(moment: datetime) -> datetime:
    """Refuse what lies outside of the years 1 to 9999 in UTC: it could be stored, and never be read."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie in the years 1 to 9999 in UTC") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_as_text), AfterValidator(_within_utc)]
"""A time with its offset from UTC."""
