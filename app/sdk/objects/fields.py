"""What all objects share: how they are named and read from JSON, and which statuses are an end.

Objects are frozen and typed. Each keeps the whole answer in `raw`, so that a newer service's fields can be
read before the SDK knows them. Times are timezone-aware (UTC), sizes are bytes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

JSON = dict[str, Any]

TERMINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled"})


class Identified(Protocol):
    """Anything with an id."""

    @property
    def id(self) -> str:
        """Prefixed, such as `ds_…`."""


def id_of(thing: str | Identified) -> str:
    """The id of what is given by its id or as an object."""
    return thing if isinstance(thing, str) else thing.id


def read_time(value: Any) -> datetime | None:
    """Read an RFC 3339 time; None where the service gave none."""
    return datetime.fromisoformat(value) if isinstance(value, str) else None
