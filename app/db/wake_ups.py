"""When the wake-up of what waits is sent again: the row is the truth, and the broker may lose a message."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func
from sqlalchemy.orm import InstrumentedAttribute

AT_ONCE = 100
"""So many rows are taken up in one look; the next look finds the others."""
_SLOWEST = 10

_TimeColumn = InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]


def is_overdue(
    *, sent_at: _TimeColumn, waits_since: _TimeColumn, resend_after_seconds: float
) -> ColumnElement[bool]:
    """Whether the last wake-up, of `sent_at`, is old enough to be sent again.

    What waits long because workers are busy is sent ever less often, down to a tenth, so that useless
    messages do not pile up.
    """

    def age(column: _TimeColumn) -> ColumnElement[Any]:
        return func.extract("epoch", func.clock_timestamp() - column)

    patience = func.least(
        func.greatest(resend_after_seconds, age(waits_since) / 4), _SLOWEST * resend_after_seconds
    )
    return age(sent_at) > patience
