"""Errors that the service raises on purpose. `app/problems.py` turns them into problem+json, once.

    SteadyRankError                     500 internal
    ├── UploadInterruptedError          400 upload_interrupted
    ├── Unauthorized                    401 unauthorized
    ├── Forbidden                       403 insufficient_scope
    ├── NotFoundError                   404 not_found, dataset_not_found, job_not_found, …
    ├── BodyTooSlowError                408 body_too_slow (retryable)
    ├── ConflictError                   409 conflict
    ├── PayloadTooLarge                 413 payload_too_large, decompressed_too_large
    ├── QueryTooLongError               414 query_too_long
    ├── RangeNotSatisfiableError        416 range_not_satisfiable
    ├── ValidationFailed                422 invalid_request, empty_file, binary_file, broken_gzip, …
    ├── BlobDamagedError                500 blob_damaged
    └── ServiceUnavailable              503 unavailable (retryable)

Kinds of conflicts stand in `app/state_errors.py`, those of quotas and rates in `app/limit_errors.py`. Nothing
here knows HTTP beyond a status number, so workers import it without a web framework.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class ErrorItem:
    """One fault of a request: where (a JSON pointer, or a query parameter's name), what, and what to do."""

    pointer: str
    code: str
    message: str
    got: Any = None
    hint: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The item as it stands in `errors[]`."""
        return asdict(self)


class SteadyRankError(Exception):
    """Base of the tree. Class attributes are what a caller gets unless an instance says otherwise."""

    status: ClassVar[int] = 500
    code: str = "internal"
    title: str = "Internal error"
    hint: str | None = None
    pointer: str | None = None
    retryable: bool = False

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        pointer: str | None = None,
        errors: Sequence[ErrorItem] = (),
        retryable: bool | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """`pointer` says where the one fault is, as an ErrorItem's does, where `errors` do not say more.

        `extra` are more members of the problem object, such as what uses a data set.
        """
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.code
        self.hint = hint or self.hint
        self.pointer = self.pointer if pointer is None else pointer
        self.retryable = self.retryable if retryable is None else retryable
        here = () if self.pointer is None else (ErrorItem(self.pointer, self.code, detail, hint=self.hint),)
        self.errors = tuple(errors) or here
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})


FILE = "/"
"""Pointer of a fault of an uploaded file as a whole, as in a data set's `problems[]`."""
_LISTS = {"checkpoint": "GET /v1/jobs/{id}/checkpoints", "api_key": "`steadyrank keys list`"}


class UploadInterruptedError(SteadyRankError):
    """The client went away, or fell silent, before the end of its body; nothing was kept."""

    status = 400
    code = "upload_interrupted"
    title = "Upload broken off"
    hint = "Send the file again."
    pointer = FILE
    retryable = True


class BodyTooSlowError(SteadyRankError):
    """A JSON body had not wholly arrived when its time was up; nothing was done."""

    status = 408
    code = "body_too_slow"
    title = "Body too slow"
    hint = "Send the request again, in one go."
    retryable = True


class Unauthorized(SteadyRankError):  # noqa: N818 - named as the HTTP status is
    """No API key, or one that is not known or was revoked."""

    status = 401
    code = "unauthorized"
    title = "API key needed"
    hint = "Send the header `Authorization: Bearer sr_…`; `steadyrank keys create` makes a key."

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="steadyrank"'})


class Forbidden(SteadyRankError):  # noqa: N818 - named as the HTTP status is
    """The key is good, but its scopes do not reach so far."""

    status = 403
    code = "insufficient_scope"
    title = "Not allowed with this key"
    pointer = "header:authorization"

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"This request needs an API key with the scope `{scope}`.",
            hint=f"Ask whoever has an admin key to make one: POST /v1/api_keys with the scope `{scope}`.",
            headers={
                "WWW-Authenticate": f'Bearer realm="steadyrank", error="insufficient_scope", scope="{scope}"'
            },
            extra={"needed_scope": scope},
        )


class NotFoundError(SteadyRankError):
    """No such thing in the caller's project; another project's things are not there either."""

    status = 404
    code = "not_found"
    title = "Not found"

    @classmethod
    def of(cls, kind: str, identity: str, *, pointer: str | None = None) -> NotFoundError:
        """The error for one missing row: `NotFoundError.of("dataset", "ds_…")`, code `dataset_not_found`.

        `pointer` is where the request named it, if not in its path.
        """
        where = _LISTS.get(kind, f"GET /v1/{kind}s")
        return cls(
            f"There is no {kind} {identity!r} in this project.",
            code=f"{kind}_not_found",
            hint=f"{where} lists those that there are; an id belongs to the project of the key that made it.",
            pointer=pointer or f"path:{kind}_id",
        )


class ConflictError(SteadyRankError):
    """The thing is in a state that does not allow the request."""

    status = 409
    code = "conflict"
    title = "Not possible in this state"


class PayloadTooLarge(SteadyRankError):  # noqa: N818 - named as the HTTP status is
    """A body over the limit, as sent or decompressed."""

    status = 413
    code = "payload_too_large"
    title = "Body too large"
    hint = "GET /v1/capabilities shows the limits of this service."
    pointer = ""


class QueryTooLongError(SteadyRankError):
    """A query that is longer than any that could be meant."""

    status = 414
    code = "query_too_long"
    title = "Query too long"
    hint = "Ask in several requests."


class RangeNotSatisfiableError(SteadyRankError):
    """A Range that begins after the end."""

    status = 416
    code = "range_not_satisfiable"
    title = "Range not satisfiable"
    hint = "Ask for bytes before the end, or leave Range out."
    pointer = "header:range"


class ValidationFailed(SteadyRankError):  # noqa: N818 - named as the outcome is
    """A request that is well-formed HTTP but cannot be accepted; `errors` say where and why."""

    status = 422
    code = "invalid_request"
    title = "Request not valid"
    pointer = ""


class BlobDamagedError(SteadyRankError):
    """Stored bytes do not have the digest that they were stored with, or some are missing."""

    code = "blob_damaged"
    title = "Stored bytes are damaged"


class ServiceUnavailable(SteadyRankError):  # noqa: N818 - named as the HTTP status is
    """Something that the service needs is down."""

    status = 503
    code = "unavailable"
    title = "Not available now"
    retryable = True

    def __init__(
        self, detail: str, *, retry_after_seconds: int = 5, extra: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)}, extra=extra)
