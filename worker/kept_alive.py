"""A claim that is renewed while its holder is in one long call."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

NOTICED_SECONDS = 2.0
"""Within these it is noticed that the worker leaves: less than it is given to do so."""

logger = logging.getLogger(__name__)


@contextmanager
def kept_alive(renew: Callable[[], bool], *, seconds: float, what: str) -> Iterator[None]:
    """Call `renew` from a thread every so many seconds while the block runs, until it says False.

    One that fails is tried again the next time; `what` names the claim in the log.
    """
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(seconds):
            try:
                if not renew():
                    return
            except Exception:
                logger.warning("the claim on %s could not be renewed", what, exc_info=True)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
