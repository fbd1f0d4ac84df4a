"""Waiting in the main thread until this process is told to stop."""

from __future__ import annotations

import _thread
import signal
import threading
from types import FrameType


def stop_event() -> threading.Event:
    """An event that SIGTERM and SIGINT set from now on. For the main thread.

    A handler runs in the main thread, between two of its steps: if that is just then inside the event's own
    `wait`, it holds the lock that `set` would wait for, and both stand still for good. So another thread sets
    it, begun without `threading`, which takes locks of its own.
    """
    stopped = threading.Event()

    def hear(_number: int, _frame: FrameType | None) -> None:
        _thread.start_new_thread(stopped.set, ())

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hear)
    return stopped
