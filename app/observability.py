"""Log lines as JSON with the request's id in each, and the outermost middleware, which gives those ids.

The middleware is plain ASGI: it also answers a 500 for whatever the application did not expect, so that this
response has a request id like any other, and says nothing of what went wrong but that id.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.config import Settings
from app.db.ids import new_id
from app.problems import problem_response

request_id_var: ContextVar[str | None] = ContextVar("request_id", default=None)
job_id_var: ContextVar[str | None] = ContextVar("job_id", default=None)

access_logger = logging.getLogger("app.access")
error_logger = logging.getLogger("app.error")

_SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_SECRETS = re.compile(r"(sr_[A-Za-z0-9_-]{4}|whsec_)[A-Za-z0-9_+/=-]{16,}|(://[^\s/:@]*:)[^\s/@]+(?=@)")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


def redact(text: str) -> str:
    """The text without API keys, webhooks' secrets, and the passwords of URLs."""
    return _SECRETS.sub(lambda match: f"{match.group(1) or match.group(2)}***", text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request_id, job_id, extras, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, secrets removed."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, known in (("request_id", request_id_var.get()), ("job_id", job_id_var.get())):
            if known is not None:
                line[name] = known
        line.update({name: value for name, value in vars(record).items() if name not in _STANDARD})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return redact(json.dumps(line, default=str, ensure_ascii=False))


class TextFormatter(logging.Formatter):
    """Short lines for a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """The record, secrets removed."""
        return redact(super().format(record))


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
        logger.propagate = name != "uvicorn.access"  # the middleware below writes the access lines


class RequestContextMiddleware:
    """Gives each request an id, logs one line for it, and answers the unexpected with a bare 500."""

    def __init__(self, app: ASGIApp, observe: Callable[[Scope, int, float], None] | None = None) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _inbound_id(scope) or new_id("req")
        scope.setdefault("state", {})["request_id"] = request_id
        token = request_id_var.set(request_id)
        began = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            error_logger.exception("unexpected error")
            if status:
                raise  # begun already: the server cuts the connection, so no client takes it for whole
            await problem_response(scope, error)(scope, receive, send_with_id)
        finally:
            if self._observe is not None:
                self._observe(scope, status, time.perf_counter() - began)
            access_logger.info(
                "%s %s %d",
                scope["method"],
                scope["path"],
                status,
                extra={
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "milliseconds": round(1000 * (time.perf_counter() - began), 1),
                },
            )
            request_id_var.reset(token)


def _inbound_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return None
