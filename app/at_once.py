"""Slow work that a request does by itself: so few of a kind at once that they never take every turn.

A turn (`app/turns.py`) and a thread are held as long as the work takes. Who finds no place is told to come
again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import ServiceUnavailable


class FewAtOnce:
    """At most so many of one kind in this process.

    what: their name, in the plural, for who has to come again.
    """

    def __init__(self, most: int, what: str) -> None:
        self._places = threading.BoundedSemaphore(most)
        self._what = what

    @contextmanager
    def one(self) -> Iterator[None]:
        """Have a place while the block runs. ServiceUnavailable when there is none."""
        if not self._places.acquire(blocking=False):
            raise ServiceUnavailable(
                f"Too many {self._what} are under way at once; ask again in a moment.", retry_after_seconds=2
            )
        try:
            yield
        finally:
            self._places.release()
