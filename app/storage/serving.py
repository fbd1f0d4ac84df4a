"""A blob as an HTTP response (RFC 9110): strong ETag, ranges, conditions, HEAD; in constant memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.conditions import NOT_MODIFIED, etag_matches
from app.errors import RangeNotSatisfiableError
from app.storage.blobs import BlobStore

BLOB_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bytes",
        "content": {
            "application/octet-stream": {
                "schema": {"type": "string", "format": "binary"},
                "example": "the bytes of the file",
            }
        },
    },
    206: {"description": "The range that was asked for"},
    **NOT_MODIFIED,
}
"""The `responses=` of a route that serves a blob."""

# Possessive: white space that has been taken is not given back, so that a long line of it is read once.
_RANGE = re.compile(r"bytes\s*+=\s*+([0-9]{0,18})\s*+-\s*+([0-9]{0,18})", re.IGNORECASE)


class Content(Protocol):
    """Bytes that can be served: how many, their SHA-256 in hex, and how to read a part of them."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    @property
    def sha256(self) -> str:
        """The digest of all of them."""

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes [start, stop) in pieces."""


@dataclass(frozen=True)
class _Blob:
    size: int
    sha256: str
    blob_id: str
    blobs: BlobStore

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        return self.blobs.read(self.blob_id, start, stop)


def serve_blob(
    request: Request,
    blobs: BlobStore,
    blob_id: str,
    *,
    filename: str | None = None,
    content_type: str | None = None,
) -> Response:
    """Answer GET or HEAD with a blob's bytes; see `serve_content`."""
    info = blobs.info(blob_id)
    content = _Blob(info.size, info.sha256, blob_id, blobs)
    return serve_content(request, content, filename=filename, content_type=content_type or info.content_type)


def serve_content(
    request: Request, content: Content, *, filename: str | None = None, content_type: str
) -> Response:
    """Answer GET or HEAD with these bytes: 200, 206, 304, or RangeNotSatisfiableError (416).

    Several ranges at once are answered with the whole, as RFC 9110 allows. Bytes that turn out damaged at
    their beginning are a 500; further on the connection is cut short of Content-Length.
    """
    etag = f'"{content.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-transform",
        "X-Content-Type-Options": "nosniff",
    }
    if filename is not None:
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
    if etag_matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    wanted = _range(request, content.size, etag)
    if request.method == "HEAD":
        head = Response(status_code=200, headers=headers, media_type=content_type)
        head.headers["Content-Length"] = str(content.size)
        return head
    start, stop = wanted or (0, content.size)
    headers["Content-Length"] = str(stop - start)
    if wanted is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
    return StreamingResponse(
        _begun(content.read(start, stop)),
        status_code=200 if wanted is None else 206,
        headers=headers,
        media_type=content_type,
    )


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces, the first one already read, so that early damage is an error and not a cut stream."""
    first = next(pieces, b"")
    return chain((first,), pieces)


def _range(request: Request, size: int, etag: str) -> tuple[int, int] | None:
    """The [start, stop) asked for; None for the whole. A Range that cannot be understood is ignored."""
    if request.method != "GET":
        return None
    match = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if match is None or request.headers.get("if-range", etag).strip() != etag:
        return None
    first, last = match.groups()
    if first:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return None
    elif last:
        start, stop = max(size - int(last), 0), size
    else:
        return None
    if start >= stop:
        raise RangeNotSatisfiableError(
            f"The content has {size} bytes.",
            headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"},
        )
    return start, stop
