"""Every error that the service raises on purpose. `app/problems.py` turns them into problem+json, once.

    SteadyRankError                     500 internal
    ├── UploadInterruptedError          400 upload_interrupted
    ├── Unauthorized                    401 unauthorized
    ├── Forbidden                       403 insufficient_scope
    ├── QuotaExceeded                   403 quota_exceeded (waiting does not help)
    ├── NotFoundError                   404 not_found, dataset_not_found, job_not_found, …
    ├── ConflictError                   409 conflict
    │   ├── InUseError                  409 dataset_in_use, job_in_use, … (lists what uses it)
    │   ├── DatasetNotReadyError        409 dataset_not_ready
    │   └── JobStateError               409 job_state
    ├── PayloadTooLarge                 413 payload_too_large, decompressed_too_large
    ├── RangeNotSatisfiableError        416 range_not_satisfiable
    ├── ValidationFailed                422 invalid_request, empty_file, binary_file, broken_gzip, …
    ├── RateLimited                     429 rate_limited (retryable)
    │   └── QuotaUsedUp                 429 quota_used_up (waiting helps)
    ├── BlobDamagedError                500 blob_damaged
    └── ServiceUnavailable              503 unavailable (retryable)

Nothing here knows HTTP beyond a status number, so workers import it without a web framework.
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
        self.errors = tuple(errors) or self._one_item()
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    def _one_item(self) -> tuple[ErrorItem, ...]:
        if self.pointer is None:
            return ()
        return (ErrorItem(self.pointer, self.code, self.detail, hint=self.hint),)


FILE = "/"
"""Pointer of a fault of an uploaded file as a whole, as in a data set's `problems[]`."""


class UploadInterruptedError(SteadyRankError):
    """The client went away, or fell silent, before the end of its body; nothing was kept."""

    status = 400
    code = "upload_interrupted"
    title = "Upload broken off"
    hint = "Send the file again."
    pointer = FILE
    retryable = True


class Unauthorized(SteadyRankError):  # noqa: N818 - named as the HTTP status is
    """No API key, or one that is not known or was revoked."""

    status = 401
    code = "unauthorized"
    title = "API key needed"
    hint = "Send the header `Authorization: Bearer sr_…`; `steadyrank keys create` makes a key."

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="steadyrank"'})


_LISTS = {"checkpoint": "GET /v1/jobs/{id}/checkpoints", "api_key": "`steadyrank keys list`"}


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


class InUseError(ConflictError):
    """Something cannot be deleted while other things use it; `used_by` lists their ids."""

    code = "in_use"
    title = "In use"

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        used_by: Sequence[str],
        hint: str | None = None,
        pointer: str | None = None,
    ) -> None:
        super().__init__(detail, code=code, hint=hint, pointer=pointer, extra={"used_by": list(used_by)})


class DatasetNotReadyError(ConflictError):
    """A data set that is still being read, or was rejected, cannot be trained on."""

    code = "dataset_not_ready"
    title = "Data set not ready"
    pointer = "/dataset"


class JobStateError(ConflictError):
    """A job's state does not allow the move."""

    code = "job_state"
    title = "Not possible in this state of the job"
    pointer = "path:job_id"


class UploadStateError(ConflictError):
    """An upload in parts is not in a state that allows the request."""

    code = "upload_closed"
    title = "Not possible in this state of the upload"
    pointer = "path:upload_id"


class PayloadTooLarge(SteadyRankError):  # noqa: N818 - named as the HTTP status is
    """A body over the limit, as sent or decompressed."""

    status = 413
    code = "payload_too_large"
    title = "Body too large"
    hint = "GET /v1/capabilities shows the limits of this service."
    pointer = ""


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


class QuotaExceeded(SteadyRankError):  # noqa: N818 - named as the state is
    """The project has no room for what is wanted; something must be deleted, or the limit raised."""

    status = 403
    code = "quota_exceeded"
    title = "Quota exceeded"
    hint = "GET /v1/usage shows what is used; delete what is not needed, or ask the operator for more."
    pointer = ""

    def __init__(self, quota: str, *, used: int, wanted: int, limit: int) -> None:
        super().__init__(
            f"This needs {wanted} more {quota.replace('_', ' ')}; the project has {used} of {limit}.",
            extra={"quota": quota, "used": used, "wanted": wanted, "limit": limit},
        )


class RateLimited(SteadyRankError):  # noqa: N818 - named as the state is
    """Too many requests; `Retry-After` says when there is room again."""

    status = 429
    code = "rate_limited"
    title = "Too many requests"
    hint = "Wait as long as Retry-After says; the header RateLimit says how much is left."
    retryable = True


class QuotaUsedUp(RateLimited):
    """What the project may use at once, a day or a month is used up; it comes back by itself."""

    code = "quota_used_up"
    title = "Quota used up"
    hint = "Wait, or cancel jobs; GET /v1/usage shows what is used and when it is counted anew."
    pointer = ""

    def __init__(self, quota: str, *, used: int, limit: int, retry_after_seconds: int) -> None:
        words = quota.replace("_", " ")
        super().__init__(
            f"The project may use {limit} {words}, and has used {used}.",
            headers={"Retry-After": str(retry_after_seconds)},
            extra={"quota": quota, "used": used, "limit": limit},
        )


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
