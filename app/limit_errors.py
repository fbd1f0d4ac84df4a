"""The errors of whoever asks for more than a project may use, or more often than it may ask.

SteadyRankError
├── QuotaExceeded      403 quota_exceeded (waiting does not help)
└── RateLimited        429 rate_limited (retryable)
    └── QuotaUsedUp    429 quota_used_up (waiting helps)
"""

from __future__ import annotations

from app.errors import SteadyRankError


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
    hint = "Wait, or cancel what waits or runs; GET /v1/usage shows what is used and when it is counted anew."
    pointer = ""

    def __init__(self, quota: str, *, used: int, limit: int, retry_after_seconds: int) -> None:
        words = quota.replace("_", " ")
        super().__init__(
            f"The project may use {limit} {words}, and has used {used}.",
            headers={"Retry-After": str(retry_after_seconds)},
            extra={"quota": quota, "used": used, "limit": limit},
        )
