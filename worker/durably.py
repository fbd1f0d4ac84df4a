"""Working with a database that may be away for a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db.session import Database

logger = logging.getLogger(__name__)

_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)

T = TypeVar("T")


def durably(database: Database, work: Callable[[Session], T]) -> T:
    """Do `work` in one transaction, again and again for half a minute while the database is away."""

    def once() -> T:
        with database.unit_of_work() as session:
            return work(session)

    return patiently(once)


def patiently(work: Callable[[], T]) -> T:
    """Do what uses connections of its own, such as a blob's reading, from its start while they are cut."""
    for pause in _PAUSES:
        try:
            return work()
        except OperationalError as error:
            logger.warning("database unreachable, trying again in %.1f s: %s", pause, error)
            time.sleep(pause)
    return work()
