"""Counting that light work was taken up, before anything can go wrong with it.

What fails before the claim would else leave the row waiting for ever: nothing is noted of it, and the reaper
sends its wake-up again and again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.db.takes import Taken, note_take_error, take
from worker.resources import Resources

_LONGEST = 500


@contextmanager
def taken(resources: Resources, table: type[Taken], row_id: str) -> Iterator[None]:
    """Count, and note what goes wrong in the block while the row still waits. What was raised goes on."""
    with resources.database.unit_of_work() as session:
        take(session, table, row_id)
    try:
        yield
    except Exception as error:
        said = f"{type(error).__name__}: {error}"[:_LONGEST]
        with resources.database.unit_of_work() as session:
            note_take_error(session, table, row_id, said)
        raise
