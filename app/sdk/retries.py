"""When a request is sent again, after how long, and whether an earlier try may have had its effect."""

from __future__ import annotations

import random
import re
import uuid
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from app.sdk.errors import SteadyRankError

RETRIED_STATUSES = frozenset({408, 429, 502, 503, 504})
IN_PROGRESS = "idempotency_in_progress"
USED_UP = "quota_used_up"
LONGEST_RETRY_AFTER = 60.0

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# Who answers so may have lost the answer of somebody behind it.
_ANSWER_LOST = frozenset({502, 503, 504})


def key_of(given: str | None) -> str:
    """The caller's key, or a fresh one. SteadyRankError for one that the service, or HTTP, would refuse."""
    if given is None:
        return uuid.uuid4().hex
    if not _KEY.fullmatch(given):
        raise SteadyRankError(
            f"{given!r} is no idempotency key.", hint="1 to 255 printable ASCII characters without spaces."
        )
    return given


def may_have_worked(outcome: httpx.RequestError | httpx.Response) -> bool:
    """Whether a try that ended so may have had its effect, unknown to us."""
    if isinstance(outcome, httpx.Response):
        return outcome.status_code in _ANSWER_LOST
    return not isinstance(outcome, _UNSENT)


def backoff(tried: int) -> float:
    """Seconds before the next try: 0.5, 1, 2, 4, then 8, each shortened at random by up to half."""
    return float(min(8.0, 0.5 * 2**tried) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret


def retry_after(response: httpx.Response) -> float | None:
    """Seconds that the service asks to be left alone: a number or an HTTP date."""
    given = response.headers.get("Retry-After")
    if given is None:
        return None
    try:
        return max(0.0, float(given))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(given)
    except ValueError:
        return None
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
