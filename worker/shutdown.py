"""Hearing that this worker shuts down, while a task runs in the main thread.

Celery's solo pool runs a task in the main thread, where Celery's own handler would either do nothing until
the task ends (SIGTERM) or tear the connection away under it (SIGQUIT, and SIGTERM under REMAP_SIGTERM). A
running job is therefore asked to save first, and Celery is told to stop when the task returns.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from celery.worker import state

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

stopping = threading.Event()
"""Set for good once this worker process is told to stop."""


@contextmanager
def stop_signals_heard() -> Iterator[threading.Event]:
    """Turn stop signals into the event while the block runs; Celery stops, warmly, after the task.

    Outside the main thread nothing can be installed: there `worker_shutting_down` sets the event
    (worker/celery_app.py).
    """
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return

    def hear(_number: int, _frame: FrameType | None) -> None:
        stopping.set()
        state.should_stop = 0  # read by Celery's loop once the task has returned: leave, with exit code 0

    before = {number: signal.signal(number, hear) for number in STOP_SIGNALS}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
