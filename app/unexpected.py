"""The middleware that answers a 500 for whatever the application did not expect.

It stands inside the one for browsers of other origins, so that their scripts can read this response as any
other, and inside the one that gives requests their ids, so that the response and the log line have it.
"""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import problem_response

error_logger = logging.getLogger("app.error")


class UnexpectedErrorMiddleware:
    """Logs an exception that nobody expected, once, and answers it with a bare 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection. Raises what came after the response had begun."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            error_logger.exception("unexpected error")
            if begun:
                raise  # the server cuts the connection, so no client takes the response for whole
            await problem_response(scope, error)(scope, receive, send)
