"""What a request may say in its query and body: what the operation knows, and what takes one value, once.

A misspelt filter would otherwise show everything, and a misspelt `validate_only` submit a job.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from app.body_limit import is_streamed
from app.errors import ErrorItem, UploadInterruptedError, ValidationFailed

_UNKNOWN = "This operation does not know it."
_TOLD = 100
"""So many faults are told of one request."""


class RefuseUnknown:
    """A dependency of all operations; what each takes is gathered once, at its first request with a query."""

    def __init__(self) -> None:
        # By identity, as routes have no hash; a route that is kept here keeps its id for itself.
        self._known: dict[int, tuple[APIRoute, Mapping[str, bool]]] = {}

    async def __call__(self, request: Request) -> None:
        """Refuse what the request's operation does not know, and two values of a parameter that takes one.

        Raises:
            ValidationFailed: `errors` have every query parameter that is unknown (code `unknown_field`) or
                given twice (`repeated`), and, where a POST takes no body, every field of one.
            UploadInterruptedError: The connection ended before such a body did.

        """
        route = request.scope.get("route")
        if not isinstance(route, APIRoute):
            return
        given = request.query_params.multi_items()
        items = _faults(Counter(name for name, _ in given), self._parameters(route)) if given else []
        if request.method == "POST" and route.body_field is None and not is_streamed(request.scope):
            items += await _unknown_fields(request)
        if items:
            detail = "; ".join(f"{item.pointer}: {item.message}" for item in items[:3])
            raise ValidationFailed(detail, errors=items[:_TOLD])

    def _parameters(self, route: APIRoute) -> Mapping[str, bool]:
        if id(route) not in self._known:
            self._known[id(route)] = (route, parameters_of(route.dependant))
        return self._known[id(route)][1]


def _faults(counts: Mapping[str, int], known: Mapping[str, bool]) -> list[ErrorItem]:
    items: list[ErrorItem] = []
    for name, count in counts.items():
        if len(items) == _TOLD:
            break
        if name not in known:
            near = get_close_matches(name, known, n=1)
            there = f"It takes {', '.join(known)}." if known else "It takes no query."
            hint = f"Did you mean {near[0]!r}? {there}" if near else there
            items.append(ErrorItem(f"?{name}", "unknown_field", _UNKNOWN, None, hint))
        elif count > 1 and not known[name]:
            items.append(ErrorItem(f"?{name}", "repeated", f"given {count} times", None, "Give it once."))
    return items


def parameters_of(dependant: Dependant) -> dict[str, bool]:
    """The names of the query parameters of a route; the values say which are lists."""
    found: dict[str, bool] = {}
    for parameter in dependant.query_params:
        annotation = parameter.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found |= {field.alias or name: False for name, field in annotation.model_fields.items()}
        else:
            found[parameter.alias] = _is_list(annotation)
    for below in dependant.dependencies:
        found |= parameters_of(below)
    return found


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(map(_is_list, get_args(annotation)))


async def _unknown_fields(request: Request) -> list[ErrorItem]:
    """Every field of a JSON object that came where no body is taken."""
    try:
        raw = await request.body()
    except ClientDisconnect as error:
        raise UploadInterruptedError("The connection ended before the body did; nothing was done.") from error
    try:
        body = json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        return []  # nothing that could have been meant for a field
    names = body if isinstance(body, dict) else ()
    hint = "This operation takes no body."
    return [ErrorItem(f"/{name}", "unknown_field", _UNKNOWN, None, hint) for name in names]
