"""What no request target may be: a path with control characters in it, or an endless query.

Routes are found by patterns that end in `$`, which also matches before a last newline: to them
`/v1/api_keys%0A` is `/v1/api_keys`, to whoever compares strings it is another path. So such a path never gets
as far as the key check. A query is taken apart on the event loop, for everybody else's time.
"""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import NotFoundError, QueryTooLongError, SteadyRankError
from app.problems import problem_response

LONGEST_QUERY_BYTES = 16 * 1024

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class RequestTargetMiddleware:
    """Answers 404 to a path with control characters, and 414 to a query over 16 KiB."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        error = _fault(scope) if scope["type"] == "http" else None
        if error is None:
            await self._app(scope, receive, send)
        else:
            await problem_response(scope, error)(scope, receive, send)


def _fault(scope: Scope) -> SteadyRankError | None:
    if _CONTROL.search(scope["path"]):
        return NotFoundError(
            "There is nothing at this path: it has control characters.", hint="GET /docs shows every path."
        )
    if len(scope["query_string"]) > LONGEST_QUERY_BYTES:
        return QueryTooLongError(f"The query has more than {LONGEST_QUERY_BYTES:,} bytes.")
    return None
