"""Which route took a request, as its template."""

from __future__ import annotations

from starlette.types import Scope


def route_of(scope: Scope) -> str:
    """The template of the route that took the request (`/v1/jobs/{job_id}`); `none` when there is none."""
    context = scope.get("fastapi", {}).get("effective_route_context") if "fastapi" in scope else None
    path = getattr(context, "path", None) or getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else "none"
