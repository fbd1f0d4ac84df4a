"""The dashboard: a page and its modules, as they lie in `page/`.

It has no way of its own to anything: in the reader's browser it asks the API, with the reader's key, as every
other client does. The files themselves need no key and say nothing of the installation.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from app.conditions import conditional
from app.errors import NotFoundError

router = APIRouter(prefix="/dashboard", include_in_schema=False)

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
_FILES = {
    path.name: (path.read_bytes(), _TYPES[path.suffix])
    for path in (Path(__file__).parent / "page").iterdir()
    if path.suffix in _TYPES
}
_HEADERS = {
    # Nothing from elsewhere, nothing inline, and no frame around it: the page holds a key.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


@router.get("")
async def dashboard() -> Response:
    """Send to the page: its files are named relative to it."""
    return RedirectResponse("dashboard/", status_code=308)


@router.get("/")
async def dashboard_page(request: Request) -> Response:
    """Show the page."""
    return _served(request, "index.html")


@router.get("/{name}")
async def dashboard_file(name: str, request: Request) -> Response:
    """Serve one of the page's files."""
    return _served(request, name)


def _served(request: Request, name: str) -> Response:
    if name not in _FILES:
        raise NotFoundError("The dashboard has no such file.", hint="The dashboard is at /dashboard/.")
    content, media_type = _FILES[name]
    return conditional(request, Response(content, media_type=media_type, headers=_HEADERS))
