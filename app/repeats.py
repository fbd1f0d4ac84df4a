"""A query parameter that takes one value is given once: which of two counts is nobody's to guess."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fastapi import Request
from fastapi.routing import iter_route_contexts

from app.errors import ErrorItem, ValidationFailed


async def refuse_repeats(request: Request) -> None:
    """Refuse a request that gives two values to a query parameter of which the OpenAPI page says one.

    Raises:
        ValidationFailed: It does; `errors` have all such parameters (code `repeated`).

    """
    given = request.query_params.multi_items()
    counts = Counter(name for name, _ in given)
    if len(counts) == len(given):
        return
    items = [
        ErrorItem(f"?{name}", "repeated", f"given {counts[name]} times", None, "Give it once.")
        for name in _of_one_value(request)
        if counts[name] > 1
    ]
    if items:
        detail = "; ".join(f"{item.pointer}: {item.message}" for item in items)
        raise ValidationFailed(detail, errors=items)


def _of_one_value(request: Request) -> list[str]:
    """The query parameters of the request's operation that are no lists, in the page's order."""
    method = request.method.lower()
    for route in iter_route_contexts(request.app.routes):
        if route.path_regex.match(request.scope["path"]) and request.method in (route.methods or ()):
            operation = request.app.openapi()["paths"].get(route.path_format, {}).get(method, {})
            parameters = operation.get("parameters", ())
            return [p["name"] for p in parameters if p["in"] == "query" and not _is_list(p["schema"])]
    return []


def _is_list(schema: dict[str, Any]) -> bool:
    return any(part.get("type") == "array" for part in (schema, *schema.get("anyOf", ())))
