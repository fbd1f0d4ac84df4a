"""Log lines as JSON or as short text, with the id of the request or of what is worked at, and no secrets.

Every process writes them; the training process, too, which loads nothing of the web.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from app.config import Settings

request_id_var: ContextVar[str | None] = ContextVar("request_id", default=None)
_working_at: ContextVar[tuple[tuple[str, str | int], ...]] = ContextVar("working_at", default=())

_SECRETS = re.compile(r"(sr_[A-Za-z0-9_-]{4}|whsec_)[A-Za-z0-9_+/=-]{16,}|(://[^\s/:@]*:)[^\s/@]+(?=@)")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


def redact(text: str) -> str:
    """The text without API keys, webhooks' secrets, and the passwords of URLs."""
    return _SECRETS.sub(lambda match: f"{match.group(1) or match.group(2)}***", text)


@contextmanager
def working_at(**ids: str | int) -> Iterator[None]:
    """Put these, `job_id` and the like, on every line of this context while the block runs."""
    token = _working_at.set(tuple(ids.items()))
    try:
        yield
    finally:
        _working_at.reset(token)


def _ids() -> list[tuple[str, str | int]]:
    request_id = request_id_var.get()
    return [*([("request_id", request_id)] if request_id is not None else []), *_working_at.get()]


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, ids, extras, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, secrets removed."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(_ids())
        line.update({name: value for name, value in vars(record).items() if name not in _STANDARD})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return redact(json.dumps(line, default=str, ensure_ascii=False))


class TextFormatter(logging.Formatter):
    """Short lines for a terminal, each with its ids (`request_id=…`, `job_id=…`) at its end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """The record with its ids, secrets removed."""
        return redact(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        """The line above a traceback: as the format says, and the ids."""
        known = "".join(f" {name}={value}" for name, value in _ids())
        return super().formatMessage(record) + known


def configure_logging(settings: Settings) -> None:
    """Send every log line of this process to standard error in the chosen format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"  # the middleware writes the access lines
