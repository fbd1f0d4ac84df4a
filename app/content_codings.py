"""`Content-Encoding` of what is sent: JSON comes plain, a file plain or compressed with gzip or Zstandard.

A file is told by its first bytes and kept as it came, so it needs no such header. Bytes in any other coding
would be taken for broken JSON, or for a file that is neither text nor parquet; here is said what is wrong.
"""

from __future__ import annotations

from starlette.datastructures import Headers

from app.errors import SteadyRankError

_PLAIN = "identity"
_OF_FILES = ("gzip", "x-gzip", "zstd", _PLAIN)


class UnsupportedCodingError(SteadyRankError):
    """A body in a coding that is not decoded here (RFC 9110, 15.5.16); `Accept-Encoding` says what is."""

    status = 415
    code = "unsupported_content_encoding"
    title = "Content coding not supported"
    pointer = "header:content-encoding"


def refused_coding(headers: Headers, *, is_file: bool) -> UnsupportedCodingError | None:
    """The error for a body whose `Content-Encoding` names what is not taken; None for all others."""
    given = [coding.strip().lower() for coding in ",".join(headers.getlist("content-encoding")).split(",")]
    taken = _OF_FILES if is_file else (_PLAIN,)
    if set(given) <= {"", *taken}:
        return None
    return UnsupportedCodingError(
        f"A body in the coding {', '.join(given)[:100]!r} is not taken here.",
        hint="Send a file plain, or compressed with gzip or zstd." if is_file else "Send JSON uncompressed.",
        headers={"Accept-Encoding": ", ".join(taken)},
    )
