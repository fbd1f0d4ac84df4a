"""What can go wrong when talking to a SteadyRank service.

    SteadyRankError
    ├── NotConfiguredError          no service address is known
    ├── ServiceUnreachableError     no answer came (refused, timed out, cut off)
    ├── IntegrityError              a download's bytes are not the ones that were promised
    ├── WaitTimeoutError            something took longer than the caller would wait
    ├── SecretLostError             what has a secret was made, but the answer that showed it was lost
    ├── WebhookVerificationError    a webhook's signature or time is not right
    ├── DatasetRejectedError        an upload was read and found unusable; `.dataset.problems` says why
    └── ProblemError                the service answered with an error (problem+json, RFC 9457)
        ├── BadRequestError         400
        ├── UnauthorizedError       401
        ├── ForbiddenError          403
        │   └── QuotaExceededError  the project has no room; `.extra` says how much is used and wanted
        ├── NotFoundError           404, also for another project's ids
        │   └── ProbablyDeletedError  a repeated DELETE found nothing: a try whose answer was lost did it
        ├── MethodNotAllowedError   405
        ├── RequestTimeoutError     408: the request did not arrive in time
        ├── ConflictError           409
        │   ├── InUseError          it is used; `.used_by` lists the ids
        │   ├── DatasetNotReadyError  it is still being read, or was rejected
        │   ├── JobStateError       the job's state does not allow it
        │   └── UploadStateError    the upload's state does not allow it; `.extra` has what is missing
        ├── PayloadTooLargeError    413
        ├── UnsupportedMediaTypeError  415
        ├── RangeNotSatisfiableError  416
        ├── ValidationFailedError   422: `.errors` points at each field
        ├── RateLimitedError        429
        │   └── QuotaUsedUpError    what the project may use at once, a day or a month is used up
        └── ServerError             5xx
            └── ServiceUnavailableError  503

Branch on `code` (stable), never on `detail` (prose). `extra` has what else the service said of this one code:
the `checks` of a refused promotion, the `differences` of figures that do not compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.sdk.objects.datasets import Dataset


@dataclass(frozen=True)
class FieldError:
    """One fault in a request: where it is (JSON pointer), what is wrong, what was got, what to do."""

    pointer: str
    code: str
    message: str
    got: Any = None
    hint: str = ""

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> FieldError:
        """Read one entry of `errors[]`."""
        return cls(
            pointer=str(body.get("pointer") or ""),
            code=str(body.get("code") or ""),
            message=str(body.get("message") or ""),
            got=body.get("got"),
            hint=str(body.get("hint") or ""),
        )


class SteadyRankError(Exception):
    """Root of the tree: `detail` says what happened, `hint` what to do about it."""

    def __init__(self, detail: str, *, hint: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


class NotConfiguredError(SteadyRankError):
    """No service address was given, set or found."""


class ServiceUnreachableError(SteadyRankError):
    """No usable answer came from the service."""


class IntegrityError(SteadyRankError):
    """Downloaded bytes do not have the size or SHA-256 that the service promised."""


class WaitTimeoutError(SteadyRankError):
    """The caller's waiting time ran out; the work itself goes on in the service."""


class SecretLostError(SteadyRankError):
    """A key or an endpoint was made, but its secret, which is shown once, did not arrive; `id` names it."""

    def __init__(self, detail: str, *, hint: str, id: str) -> None:
        super().__init__(detail, hint=hint)
        self.id = id


class WebhookVerificationError(SteadyRankError):
    """A webhook was not signed with the secret, or not a short while ago: it is not to be trusted."""


class DatasetRejectedError(SteadyRankError):
    """The uploaded file was read and cannot be used; nothing can be trained on it."""

    def __init__(self, dataset: Dataset) -> None:
        first = next((p.message for p in dataset.problems if p.severity == "error"), "see its problems")
        super().__init__(f"data set {dataset.id} was rejected: {first}")
        self.dataset = dataset


class ProblemError(SteadyRankError):
    """The service's problem+json answer."""

    def __init__(
        self,
        *,
        status: int,
        code: str,
        title: str,
        detail: str,
        hint: str = "",
        request_id: str | None = None,
        retryable: bool = False,
        errors: tuple[FieldError, ...] = (),
        used_by: tuple[str, ...] = (),
        retry_after: float | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail, hint=hint)
        self.status = status
        self.code = code
        self.title = title
        self.request_id = request_id
        self.retryable = retryable
        self.errors = errors
        self.used_by = used_by
        self.retry_after = retry_after
        self.extra = dict(extra or {})

    def __str__(self) -> str:
        """Status, code, detail and request id on one line."""
        tail = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.status} {self.code}: {self.detail}{tail}"


class BadRequestError(ProblemError):
    """400."""


class UnauthorizedError(ProblemError):
    """401: no key, or a key that the service does not know."""


class ForbiddenError(ProblemError):
    """403: the key may not do this."""


class QuotaExceededError(ForbiddenError):
    """403: the project has no room for it; waiting does not help."""


class NotFoundError(ProblemError):
    """404."""


class ProbablyDeletedError(NotFoundError):
    """404 to a DELETE after a try that may have arrived: it is gone, and very likely that try deleted it."""


class MethodNotAllowedError(ProblemError):
    """405: the path does not take this method; mostly the service is older than the SDK."""


class RequestTimeoutError(ProblemError):
    """408: the request's body did not arrive in time; it had no effect and may be sent again."""


class ConflictError(ProblemError):
    """409."""


class InUseError(ConflictError):
    """409: something else uses it; `used_by` lists the ids."""


class DatasetNotReadyError(ConflictError):
    """409: a data set that is still being read, or was rejected, cannot be trained on."""


class JobStateError(ConflictError):
    """409: the job's state does not allow this, such as a second cancel."""


class UploadStateError(ConflictError):
    """409: the upload's state does not allow this, such as completing it while parts are missing."""


class PayloadTooLargeError(ProblemError):
    """413."""


class UnsupportedMediaTypeError(ProblemError):
    """415: the body comes in a form that the service does not take."""


class RangeNotSatisfiableError(ProblemError):
    """416: a Range that begins after the end."""


class ValidationFailedError(ProblemError):
    """422."""


class RateLimitedError(ProblemError):
    """429."""


class QuotaUsedUpError(RateLimitedError):
    """429: it comes back by itself, at the end of a day or a month, or when a job ends."""


class ServerError(ProblemError):
    """5xx."""


class ServiceUnavailableError(ServerError):
    """503: a dependency of the service is down, or it is starting or stopping."""
