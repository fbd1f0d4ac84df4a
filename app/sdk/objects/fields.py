"""What all objects share: how they are named and read from JSON, and which statuses are an end.

Objects are frozen and typed. Each keeps the whole answer in `raw`, so that a newer service's fields can be
read before the SDK knows them. Times are timezone-aware (UTC), sizes are bytes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote

from app.sdk.errors import SteadyRankError

JSON = dict[str, Any]

_FIRST_PRINTED = 32
"""What comes before it controls a terminal; names may have any other letter."""

TERMINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled"})


class Identified(Protocol):
    """Anything with an id."""

    @property
    def id(self) -> str:
        """Prefixed, such as `ds_…`."""


def id_of(thing: str | Identified) -> str:
    """The id of what is given by its id or as an object. TypeError for anything else."""
    found = thing if isinstance(thing, str) else getattr(thing, "id", None)
    if not isinstance(found, str):
        raise TypeError(f"{thing!r} is neither an id nor an object that has one")
    return found


def id_in_path(thing: str | Identified, safe: str = "") -> str:
    """The id as a part of a path, where `/`, `?` and dots lead elsewhere. SteadyRankError for none."""
    found = id_of(thing)
    try:
        quoted = quote(found, safe=safe)
    except UnicodeEncodeError:
        quoted = ""
    if not quoted.strip(".") or any(ord(letter) < _FIRST_PRINTED for letter in found):
        raise SteadyRankError(
            f"{found[:200]!r} cannot be asked for: it is no id.", hint="Ids look like ds_01m8…."
        )
    return quoted


def read_time(value: Any) -> datetime | None:
    """Read an RFC 3339 time; None where the service gave none."""
    return datetime.fromisoformat(value) if isinstance(value, str) else None
