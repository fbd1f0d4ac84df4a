"""Errors as `application/problem+json` (RFC 9457): the one place where an exception becomes a response."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, Field
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from app.content_codings import UnsupportedCodingError
from app.errors import (
    BodyTooSlowError,
    ConflictError,
    ErrorItem,
    Forbidden,
    NotFoundError,
    PayloadTooLarge,
    RangeNotSatisfiableError,
    ServiceUnavailable,
    SteadyRankError,
    Unauthorized,
    UploadInterruptedError,
    ValidationFailed,
)
from app.limit_errors import RateLimited
from app.spelling import with_spelling
from app.validation_errors import error_items

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

_SHOWN: tuple[type[SteadyRankError], ...] = (
    UploadInterruptedError,
    Unauthorized,
    Forbidden,
    NotFoundError,
    BodyTooSlowError,
    ConflictError,
    PayloadTooLarge,
    UnsupportedCodingError,
    RangeNotSatisfiableError,
    ValidationFailed,
    RateLimited,
    ServiceUnavailable,
)
"""The example of each status in the OpenAPI document; of any other it is SteadyRankError."""
_DEADLOCK = "40P01"
"""SQLSTATE `deadlock_detected`."""
_DISK_FULL = "53100"
"""SQLSTATE `disk_full`."""
_REFERENCE = {"$ref": "#/components/schemas/Problem"}


class ProblemItem(BaseModel):
    """One fault of a request."""

    pointer: str = Field(examples=["/epochs"])
    """JSON pointer into the body, or `?name` (query), `path:name`, `header:name`, `alias:gates/…`."""
    code: str = Field(examples=["out_of_range"])
    message: str
    got: Any = None
    hint: str | None = None


class Problem(BaseModel):
    """What every error looks like."""

    type: str = Field(examples=["urn:steadyrank:problem:invalid_request"])
    title: str
    status: int
    code: str
    detail: str
    instance: str
    request_id: str
    retryable: bool
    hint: str | None = None
    errors: list[ProblemItem] = []


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route for these statuses; 401, 403, 429 and 500 are on every route."""
    described: dict[int | str, dict[str, Any]] = {}
    for status in sorted({401, 403, 429, 500, *statuses}):
        described[status] = {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": _REFERENCE, "example": _example(status)}},
        }
    return described


def problem_response(scope: Scope, error: Exception) -> Response:
    """The response for an exception; of one that nobody expected it tells nothing but the request's id."""
    known = _known(error, scope)
    body: dict[str, Any] = {
        "type": f"urn:steadyrank:problem:{known.code}",
        "title": known.title,
        "status": _status(known),
        "code": known.code,
        "detail": known.detail,
        "instance": scope["path"],
        "request_id": scope.get("state", {}).get("request_id", ""),
        "retryable": known.retryable,
        "hint": known.hint,
        "errors": [item.as_json() for item in known.errors],
        **known.extra,
    }
    return JSONResponse(body, status_code=_status(known), headers=known.headers, media_type=MEDIA_TYPE)


def add_problem_handlers(app: FastAPI) -> None:
    """Let every exception that reaches the application be answered as a problem.

    Exceptions without a handler here end in `UnexpectedErrorMiddleware`, which answers 500.
    """
    service = (SteadyRankError, OperationalError, PoolTimeoutError, DataError, UnicodeEncodeError)
    for kind in (*service, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _handle)


async def _handle(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # the framework names the methods of the first route of this path only
        error = HTTPException(error.status_code, headers={"Allow": ", ".join(_methods_of(request))})
    if _status(_known(error, request.scope)) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("request failed", exc_info=error)
    return problem_response(request.scope, error)


def _methods_of(request: Request) -> list[str]:
    """Every method that the request's path takes."""
    found: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.path_regex.match(request.scope["path"]):
            found |= route.methods or set()
    return sorted(found)


class _StatusOnlyError(SteadyRankError):
    """What the framework itself answers (405, 400 …), in our words."""

    def __init__(self, error: HTTPException) -> None:
        phrase = HTTPStatus(error.status_code).phrase
        super().__init__(
            error.detail or phrase,
            code=phrase.lower().replace(" ", "_"),
            hint="GET /docs shows every path, its methods and what it takes.",
            headers=error.headers or {},
        )
        self.title = phrase
        self.http_status = error.status_code


def _status(error: SteadyRankError) -> int:
    return error.http_status if isinstance(error, _StatusOnlyError) else error.status


def _known(error: Exception, scope: Scope) -> SteadyRankError:
    match error:
        case SteadyRankError() if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            known = _internal(error.code, error.title)
        case SteadyRankError():
            known = error
        case RequestValidationError():
            faults = error.errors()
            items = with_spelling(error_items(faults), scope)
            detail = "; ".join(f"{item.pointer or 'body'}: {item.message}" for item in items[:3])
            if len(faults) > len(items):
                detail += f"; {len(faults)} faults, of which the first {len(items)} are shown"
            known = ValidationFailed(detail or "The request is not valid.", errors=items)
        case HTTPException(status_code=HTTPStatus.NOT_FOUND):
            known = NotFoundError("There is nothing at this path.", hint="GET /docs shows every path.")
        case HTTPException(status_code=HTTPStatus.BAD_REQUEST):
            # what the framework says of bytes that are no UTF-8, endless nesting, numbers of 5,000 digits
            item = ErrorItem("", "invalid_json", "not JSON in UTF-8", hint="Send a JSON object in UTF-8.")
            known = ValidationFailed("The body cannot be read as JSON.", errors=[item])
        case HTTPException(status_code=HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
            known = PayloadTooLarge("The body is over the limit of this path.")
        case HTTPException(status_code=HTTPStatus.REQUEST_TIMEOUT):
            known = BodyTooSlowError("The body did not arrive in time.", headers=error.headers or {})
        case HTTPException():
            known = _StatusOnlyError(error)
        case DataError() | UnicodeEncodeError():
            # NUL, or half of a surrogate pair: legal in JSON and in an address, but not to be stored
            known = ValidationFailed(
                "The request holds text or a number that cannot be stored.",
                code="unstorable_text",
                hint="Send text as UTF-8 without NUL characters.",
            )
        case OperationalError() | PoolTimeoutError():
            known = _of_database(error)
        case _:
            known = _internal("internal", SteadyRankError.title)
    return known


def _of_database(error: OperationalError | PoolTimeoutError) -> SteadyRankError:
    state = getattr(error.orig, "sqlstate", None) if isinstance(error, OperationalError) else None
    if state == _DEADLOCK:
        both = "Another request wanted the same things at the same moment; nothing was changed."
        return ServiceUnavailable(f"{both} Send it again.", retry_after_seconds=1)
    if state == _DISK_FULL:
        return ServiceUnavailable("The database has no space left; nothing was changed.")
    return ServiceUnavailable("The database cannot be reached.")


def _internal(code: str, title: str) -> SteadyRankError:
    error = SteadyRankError(
        "Something went wrong on our side; the service's log has it under this request_id.", code=code
    )
    error.title = title
    return error


def _example(status: int) -> dict[str, Any]:
    shown = next((kind for kind in _SHOWN if kind.status == status), SteadyRankError)
    return {
        "type": f"urn:steadyrank:problem:{shown.code}",
        "title": shown.title,
        "status": status,
        "code": shown.code,
        "detail": HTTPStatus(status).phrase,
        "instance": "/v1/…",
        "request_id": "req_01k9z3v5m8qpx7c2h4t6w0ynrb",
        "retryable": shown.retryable,
        "hint": shown.hint,
        "errors": [],
    }
