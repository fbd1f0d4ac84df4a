"""Which exception an error response becomes: by its status, and by its code where that says more."""

from __future__ import annotations

from typing import Any

import httpx

from app.sdk.errors import (
    BadRequestError,
    ConflictError,
    DatasetNotReadyError,
    FieldError,
    ForbiddenError,
    InUseError,
    JobStateError,
    MethodNotAllowedError,
    NotFoundError,
    PayloadTooLargeError,
    ProbablyDeletedError,
    ProblemError,
    QuotaExceededError,
    QuotaUsedUpError,
    RangeNotSatisfiableError,
    RateLimitedError,
    RequestTimeoutError,
    ServerError,
    ServiceUnavailableError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
    UploadStateError,
    ValidationFailedError,
)

_BY_CODE: dict[tuple[int, str], type[ProblemError]] = {
    (403, "quota_exceeded"): QuotaExceededError,
    (409, "dataset_not_ready"): DatasetNotReadyError,
    (409, "dataset_rejected"): DatasetNotReadyError,
    (409, "upload_busy"): UploadStateError,
    (409, "upload_closed"): UploadStateError,
    (409, "upload_incomplete"): UploadStateError,
    (429, "quota_used_up"): QuotaUsedUpError,
}
_MEMBERS = frozenset(
    [
        "type",
        "title",
        "status",
        "code",
        "detail",
        "instance",
        "request_id",
        "retryable",
        "hint",
        "errors",
        "used_by",
    ]
)
_BY_STATUS: dict[int, type[ProblemError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    405: MethodNotAllowedError,
    408: RequestTimeoutError,
    409: ConflictError,
    413: PayloadTooLargeError,
    415: UnsupportedMediaTypeError,
    416: RangeNotSatisfiableError,
    422: ValidationFailedError,
    429: RateLimitedError,
    503: ServiceUnavailableError,
}


def problem_from(response: httpx.Response, *, retry_after: float | None = None) -> ProblemError:
    """Turn an error response, whose body has been read, into the exception of its status.

    A body that is not problem+json (a proxy's HTML page, say) still gives the right class, with code
    `http_<status>`.
    """
    try:
        parsed = response.json()
    except ValueError:
        parsed = None
    body: dict[str, Any] = parsed if isinstance(parsed, dict) else {}
    status = response.status_code
    code = str(body.get("code") or f"http_{status}")
    used_by = body.get("used_by")
    errors = body.get("errors")
    return _kind(status, code, body)(
        status=status,
        code=code,
        title=str(body.get("title") or response.reason_phrase or "Error"),
        detail=str(body.get("detail") or body.get("title") or f"the service answered {status}"),
        hint=str(body.get("hint") or ""),
        request_id=body.get("request_id") or response.headers.get("X-Request-Id"),
        retryable=bool(body.get("retryable", status in {408, 429, 502, 503, 504})),
        errors=tuple(FieldError.from_json(e) for e in errors if isinstance(e, dict))
        if isinstance(errors, list)
        else (),
        used_by=tuple(str(identity) for identity in used_by) if isinstance(used_by, list) else (),
        retry_after=retry_after,
        extra={name: value for name, value in body.items() if name not in _MEMBERS},
    )


def probably_deleted(problem: NotFoundError) -> ProbablyDeletedError:
    """What a 404 to a DELETE says after a try that may have arrived."""
    return ProbablyDeletedError(
        status=problem.status,
        code=problem.code,
        title=problem.title,
        detail=f"It is gone, probably deleted by an earlier try whose answer was lost. {problem.detail}",
        hint="How many bytes came free is not known any more. If you never had it, check the id.",
        request_id=problem.request_id,
        extra=problem.extra,
    )


def _kind(status: int, code: str, body: dict[str, Any]) -> type[ProblemError]:
    if status == 409:
        if "job_status" in body:
            return JobStateError
        if "used_by" in body:
            return InUseError
    return (
        _BY_CODE.get((status, code))
        or _BY_STATUS.get(status)
        or (ServerError if status >= 500 else ProblemError)
    )
