"""Prefixed, time-ordered ids: `ds_01k9z…`, 128 bits as 26 lowercase letters and digits.

48 bits of milliseconds, then 80 random bits (the layout of a ULID, in Crockford's base 32), so that sorting
by id is sorting by time: cursor lists need no other order, and new rows go to the end of an index.
"""

from __future__ import annotations

import re
import secrets
import threading
import time

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ID_LENGTH = 26
_RANDOM_BITS = 80
_BODY = re.compile(f"[0-7][{ALPHABET}]{{{ID_LENGTH - 1}}}")

_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """A new id, greater than every id that this process made before."""
    global _last  # noqa: PLW0603 - the order within one millisecond is per process, as is this number
    with _lock:
        fresh = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        _last = fresh if fresh > _last else _last + 1
        number = _last
    return _written(prefix, number)


def first_id(prefix: str, at: float) -> str:
    """The least id that can be made at a time, in seconds since 1970: ids of earlier times are less."""
    milliseconds = min(max(int(at * 1000), 0), (1 << 48) - 1)
    return _written(prefix, milliseconds << _RANDOM_BITS)


def _written(prefix: str, number: int) -> str:
    digits = [ALPHABET[(number >> (5 * place)) & 31] for place in range(ID_LENGTH)]
    return f"{prefix}_{''.join(reversed(digits))}"


def is_id(prefix: str, text: str) -> bool:
    """Whether `text` has the form of an id with that prefix; says nothing of whether the row exists."""
    head, separator, body = text.partition("_")
    return bool(separator) and head == prefix and _BODY.fullmatch(body) is not None
