"""Limits on request bodies that are read whole, that is JSON; uploads stream and count for themselves.

A body in a coding that nobody decodes is refused here too, before it is read. Starlette's own limit answers
in plain text, and every error here is a problem.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from http import HTTPStatus

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.content_codings import refused_coding
from app.errors import PayloadTooLarge
from app.problems import problem_response

_STREAMED = "body_streamed"
_READ = frozenset({"POST", "PUT", "PATCH"})
"""The methods whose bodies anybody reads; what comes with another is left where it is."""


def is_streamed(scope: Scope) -> bool:
    """Whether the request takes a body of any length, which nobody may read whole."""
    return bool(scope.get("state", {}).get(_STREAMED))


class BodyLimitMiddleware:
    """Refuses longer bodies, by Content-Length or while they arrive, and those that take too long to.

    Args:
        app: What is protected.
        max_bytes: Most bytes of a body.
        seconds: A body has so long to arrive; then it is a 408, and the connection ends.
        streamed: Paths that take bodies of any length, since they never hold them whole; `{}` is any one
            segment, as in `/v1/uploads/{}/parts/{}`.

    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, seconds: float, streamed: Collection[str]) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._streamed = re.compile("|".join(re.escape(path).replace(r"\{\}", "[^/]+") for path in streamed))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["method"] not in _READ:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        streamed = self._streamed.fullmatch(scope["path"]) is not None
        scope.setdefault("state", {})[_STREAMED] = streamed
        coding = refused_coding(headers, is_file=streamed)
        if coding is not None:
            await problem_response(scope, coding)(scope, receive, send)
            return
        if streamed:
            await self._app(scope, receive, send)
            return
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._max_bytes:
            error = PayloadTooLarge(f"A body of this path has at most {self._max_bytes} bytes.")
            await problem_response(scope, error)(scope, receive, send)
            return
        await self._app(scope, self._limited(receive), send)

    def _limited(self, receive: Receive) -> Receive:
        """The same messages, until the body is too long or too late."""
        received, until = 0, math.inf
        complete = False

        async def limited() -> Message:
            nonlocal received, until, complete
            if complete:  # what comes now is the end of the connection, whenever that may be
                return await receive()
            until = min(until, anyio.current_time() + self._seconds)
            try:
                with anyio.fail_after(until - anyio.current_time()):
                    message = await receive()
            except TimeoutError:
                # FastAPI turns any exception of another kind from here into a 400
                raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, headers={"Connection": "close"}) from None
            complete = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return message

        return limited
