"""What a training process writes to its standard error: passed on to the worker's own, and kept by lines.

A thread reads it; the newest lines stay in memory until the watch has them written, so that a database that
is away loses old lines at worst. Keys and passwords never get as far as that.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from app.config import Settings
from app.jobs.logs import KEPT_LINES, Line
from app.log_lines import redact

_LONGEST_LINE = 4000
_LEAST_SECRET = 4
_AS_TEXT = re.compile(r"\d\d:\d\d:\d\d (DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)", re.DOTALL)


class ChildLog:
    """The lines of one process, numbered from 1; `take` hands over those that are not yet written."""

    def __init__(self, pipe: IO[bytes], settings: Settings) -> None:
        self._pipe = pipe
        addresses = (settings.database_url, settings.redis_url)
        passwords = [unquote(urlsplit(address).password or "") for address in addresses if address]
        self._secrets = [password for password in passwords if len(password) >= _LEAST_SECRET]
        self._lock = threading.Lock()
        self._lines: deque[Line] = deque(maxlen=KEPT_LINES)
        self._count = 0
        self._thread = threading.Thread(target=self._read, name="child-log", daemon=True)
        self._thread.start()

    def take(self) -> Sequence[Line]:
        """The lines that are not yet written, oldest first."""
        with self._lock:
            return list(self._lines)

    def written(self, number: int) -> None:
        """Forget the lines up to that number: they are stored."""
        with self._lock:
            while self._lines and self._lines[0].number <= number:
                self._lines.popleft()

    def join(self, seconds: float) -> None:
        """Wait for the last line of a process that has ended; at most so long: a child of it may write on."""
        self._thread.join(seconds)

    def _read(self) -> None:
        with self._pipe as pipe:
            for raw in pipe:
                text = self._without_secrets(raw.decode("utf-8", "replace").rstrip("\r\n"))
                sys.stderr.write(f"{text}\n")
                at, level, said = _parsed(text)
                if not said:
                    continue
                with self._lock:
                    self._count += 1
                    self._lines.append(Line(self._count, at, level, said))

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return redact(text).replace("\0", "\ufffd")


def _parsed(text: str) -> tuple[datetime, str | None, str]:
    """When, how grave, what: of a line that our formatters wrote, or of any other."""
    at, level, said = datetime.now(UTC), None, text
    try:
        found: Any = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict) and {"time", "level", "message"} <= found.keys():
        at, level = datetime.fromisoformat(str(found["time"])), str(found["level"])
        said = "\n".join(filter(None, (str(found["message"]), found.get("traceback"))))
    elif match := _AS_TEXT.fullmatch(text):
        level, said = match[1].lower(), match[2]
    if len(said) > _LONGEST_LINE:
        said = said[:_LONGEST_LINE] + "…"
    return at, level, said.replace("\0", "\ufffd")
