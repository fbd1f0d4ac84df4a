from __future__ import annotations

import pytest
from starlette.requests import Request

from app.negotiation import HTML, JSON, MARKDOWN, preferred

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ((), JSON),
        (("*/*",), JSON),
        (("image/png",), JSON),
        ((BROWSER,), HTML),
        (("Text/Markdown",), MARKDOWN),
        (("text/*",), MARKDOWN),
        (("*/*, text/html",), HTML),
        (("text/html, text/markdown",), HTML),
        (("text/markdown;q=0.5, application/json",), JSON),
        (("text/markdown;q=0",), JSON),
        (("text/markdown;q=nan, text/html;q=0.1",), HTML),
        (("application/json;q=0, */*",), MARKDOWN),
        (("application/json;q=0.2", "text/html"), HTML),
        (("x-text/markdown-x",), JSON),
    ],
)
def test_the_type_that_the_header_weighs_most(accept: tuple[str, ...], expected: str) -> None:
    headers = [(b"accept", value.encode()) for value in accept]
    request = Request({"type": "http", "headers": headers})
    assert preferred(request, (JSON, MARKDOWN, HTML)) == expected
