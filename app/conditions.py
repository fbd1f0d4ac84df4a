"""Answers that need not be sent again: a 304 for whoever names their ETag in If-None-Match (RFC 9110)."""

from __future__ import annotations

import hashlib
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Not changed since the ETag in If-None-Match"}
}
"""Of the `responses=` of a route that answers so."""


def etag_of(body: bytes) -> str:
    """The ETag of an answer that is made anew each time: a digest of it."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def etag_matches(condition: str | None, etag: str) -> bool:
    """Whether If-None-Match names this ETag (weak comparison: a `W/` prefix does not matter)."""
    if condition is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return "*" in tags or etag in tags


def conditional(request: Request, response: Response) -> Response:
    """The response with an ETag, of its body if it has none; or a 304 with its headers, for who has it."""
    headers = response.headers
    etag = headers.setdefault("ETag", etag_of(bytes(response.body)))
    headers.setdefault("Cache-Control", "private, no-cache")
    if not etag_matches(request.headers.get("if-none-match"), etag):
        return response
    kept = {name: value for name, value in headers.items() if not name.startswith("content-")}
    return Response(status_code=304, headers=kept)
