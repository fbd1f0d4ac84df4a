"""Writing how an attempt ended, patiently: a database that is away for a while is waited for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy.exc import OperationalError

from app.jobs.claims import LeaseLost

logger = logging.getLogger(__name__)

_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)


def settle_patiently(write: Callable[[], None], *, what: str, attempt: int) -> None:
    """Call `write` until it goes through; if the database stays away, the reaper will find the work.

    An attempt whose claim is lost has nothing to say any more.
    """
    for pause in (*_PAUSES, None):
        try:
            write()
        except LeaseLost:
            logger.info("%s: attempt %d is over", what, attempt)
        except OperationalError as error:
            logger.warning("%s: its end could not be written: %s", what, error)
            if pause is not None:
                time.sleep(pause)
                continue
        return
