"""What a training process and its parent say to each other: a line each, down its stdin and up a pipe.

Down: `stop` (nothing more is wanted), `save_and_stop` (write a checkpoint first), `finish` (train no more,
and measure what there is), `conclude` (make no more attacks either); end of file means that the parent is
gone. Up: JSON objects with one key: `beat` (a counter that grows while training moves), `environment`, and at
last `end`.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass
from typing import Any, Literal

STOP = "stop"
SAVE_AND_STOP = "save_and_stop"
FINISH = "finish"
CONCLUDE = "conclude"

EndKind = Literal["succeeded", "stopped", "lease_lost", "error", "unavailable"]

_BEAT_SECONDS = 0.2


@dataclass(frozen=True)
class End:
    """How a training process says that it ended; the last four are of an `error` or `unavailable`."""

    kind: EndKind
    saved: bool = False
    code: str = ""
    message: str = ""
    hint: str = ""
    retryable: bool = False


class Upward:
    """The child's end of the pipe up. Losing the parent here is harmless: end of file downward ends us."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._count = 0
        self._sent_at = 0.0

    def beat(self) -> None:
        """Training has moved; sent at most five times a second."""
        self._count += 1
        now = time.monotonic()
        if now - self._sent_at >= _BEAT_SECONDS:
            self._sent_at = now
            self._send({"beat": self._count})

    def environment(self, facts: dict[str, Any]) -> None:
        """Device and versions, as found."""
        self._send({"environment": facts})

    def end(self, end: End) -> None:
        """The last word."""
        self._send({"end": vars(end)})

    def _send(self, message: dict[str, Any]) -> None:
        line = (json.dumps(message) + "\n").encode()
        with self._lock:
            while line:
                try:
                    line = line[os.write(self._descriptor, line) :]
                except BrokenPipeError:
                    return
