"""Which of a route's media types a request would like best: its `Accept` header, weighed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fastapi import Request

JSON = "application/json"
MARKDOWN = "text/markdown"
HTML = "text/html"
TEXT = "text/plain"
EVENT_STREAM = "text/event-stream"


def preferred(request: Request, offered: Sequence[str]) -> str:
    """The one of `offered` that the request's `Accept` weighs most (RFC 9110, 12.5.1).

    Of equal weights the one named exactly goes before one meant by `*/*`, and the one named first before
    those after it. Where the header is absent or fits nothing it is the first offered.
    """
    ranges = _ranges(",".join(request.headers.getlist("accept")))
    ranks = {media_type: _rank(media_type, ranges) for media_type in offered}
    best = max(offered, key=lambda media_type: ranks[media_type])
    return best if ranks[best][0] > 0.0 else offered[0]


def wants_markdown(request: Request, format: str | None) -> bool:
    """Whether a route of JSON and Markdown is asked for Markdown: by `format`, else by `Accept`."""
    return format == "md" or (format is None and preferred(request, (JSON, MARKDOWN)) == MARKDOWN)


def _ranges(accept: str) -> dict[str, tuple[float, int]]:
    """Each media range of the header in lower case: its weight (0 to 1) and its place from the first."""
    found: dict[str, tuple[float, int]] = {}
    for place, part in enumerate(accept.lower().split(",")):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        weights = [_weight(piece[2:]) for piece in parameters if piece.startswith("q=")]
        found.setdefault(media_range, (weights[0] if weights else 1.0, place))
    return found


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if math.isfinite(weight) else 0.0


def _rank(media_type: str, ranges: dict[str, tuple[float, int]]) -> tuple[float, int, int]:
    """Weight, how exactly it is named (2 to 0), and how early: by the most exact range that means it."""
    named = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    for exactness, media_range in zip((2, 1, 0), named, strict=True):
        if media_range in ranges:
            weight, place = ranges[media_range]
            return weight, exactness, -place
    return 0.0, 0, 0
