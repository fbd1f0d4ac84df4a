"""Browsers of other origins: who is let in, what scripts may read, and refusals that they can read."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import ErrorItem, SteadyRankError
from app.idempotency import REPLAYED
from app.problems import problem_response

_LIMITS = ("Retry-After", "RateLimit", "RateLimit-Policy")
EXPOSED = ("ETag", "Location", "X-Request-Id", *_LIMITS, "Content-Range", REPLAYED)
"""Headers that scripts of other origins may read."""


class _PreflightRefusedError(SteadyRankError):
    """A browser asks for an origin that the settings do not name."""

    status = 400
    code = "cors_refused"
    title = "Origin not allowed"
    hint = "STEADYRANK_CORS_ORIGINS names the origins whose scripts may call this service."


class CorsMiddleware(CORSMiddleware):
    """Starlette's, with problems for refusals."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        asks = scope.get("method") == "OPTIONS" and "access-control-request-method" in headers
        if asks and "origin" in headers:
            answer = self.preflight_response(headers)
            if answer.status_code == HTTPStatus.BAD_REQUEST:
                detail = bytes(answer.body).decode()
                items = [ErrorItem("header:origin", _PreflightRefusedError.code, detail, headers["origin"])]
                error = _PreflightRefusedError(f"{detail}.", errors=items, headers={"Vary": "Origin"})
                await problem_response(scope, error)(scope, receive, send)
                return
        await super().__call__(scope, receive, send)
