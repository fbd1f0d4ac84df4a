"""One HTTP connection to a service: the key, retries, errors, streams.

Retried with exponential back-off and jitter (or after Retry-After): 408, 429, 502, 503, 504 and lost
connections of requests that may safely be sent twice. A POST may, too: it carries an Idempotency-Key, the
caller's or one of its own, the same at every try, by which the service knows a repeat and answers as it did
before.
"""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from app.sdk.discovery import Connection
from app.sdk.errors import ServiceUnreachableError, SteadyRankError
from app.sdk.http_client import open_client
from app.sdk.problems import problem_from

RETRIED_STATUSES = frozenset({408, 429, 502, 503, 504})
IN_PROGRESS = "idempotency_in_progress"
LONGEST_RETRY_AFTER = 60.0

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True)
class Body:
    """A request body. `open` gives its bytes anew for every try; `repeatable` says whether it can."""

    open: Callable[[], Iterable[bytes]]
    size: int | None
    repeatable: bool
    content_type: str = "application/octet-stream"


class Transport:
    """Sends requests to one service; not meant to be used directly, the resources do.

    `max_retries` counts the tries after the first; `timeout` is in seconds, per read or write.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        timeout: float,
        max_retries: int,
        http: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = connection.base_url
        self.timeout = timeout
        self._max_retries = max_retries
        self.sleep = sleep
        self._client = open_client(connection, timeout=timeout, transport=http)

    def __repr__(self) -> str:
        """Show the address only."""
        return f"Transport({self.base_url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def json(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        upload: Body | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Send and return the answer's JSON object; an empty answer gives {}.

        `repeatable` marks a POST that changes nothing and so needs no key to be sent again. Any other has
        `idempotency_key`, or a fresh one; SteadyRankError if that cannot be a key.
        """
        response = self._send(
            method,
            path,
            params=params,
            body=body,
            upload=upload,
            headers=headers,
            repeatable=repeatable,
            idempotency_key=idempotency_key,
        )
        if not response.content:
            return {}
        try:
            parsed = response.json()
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise ServiceUnreachableError(
                f"{self.base_url} answered {response.status_code}, but not with SteadyRank's JSON.",
                hint="Is this the address of a SteadyRank service?",
            )
        return parsed

    def text(self, path: str, *, params: Mapping[str, Any] | None = None, accept: str = "text/plain") -> str:
        """GET a text document."""
        return self._send("GET", path, params=params, headers={"Accept": accept}).text

    @contextmanager
    def stream(self, path: str, *, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """GET a body piece by piece; the caller reads it and handles a cut (httpx.TransportError)."""
        response = self._send(
            "GET", path, headers={"Accept": "*/*", "Accept-Encoding": "identity", **headers}, stream=True
        )
        try:
            yield response
        finally:
            response.close()

    def pages(self, path: str, *, params: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Walk a cursor list to its end, page after page, as the caller reads on."""
        query = {name: value for name, value in (params or {}).items() if value is not None}
        while True:
            page = self.json("GET", path, params=query)
            rows = page.get("data") or []
            yield from rows
            if not page.get("has_more") or not rows:
                return
            query["after"] = page.get("last_id") or rows[-1]["id"]

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        upload: Body | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
        idempotency_key: str | None = None,
        stream: bool = False,
    ) -> httpx.Response:
        query = {name: value for name, value in (params or {}).items() if value is not None}
        key = {"Idempotency-Key": _key(idempotency_key)} if method == "POST" and not repeatable else {}
        tried = 0
        while True:
            sent = {**(headers or {}), **key}
            if upload is not None:
                sent["Content-Type"] = upload.content_type
                if upload.size is not None:
                    sent["Content-Length"] = str(upload.size)
            request = self._client.build_request(
                method,
                path,
                params=query,
                headers=sent,
                json=body,
                content=upload.open() if upload is not None else None,
            )
            may_retry = tried < self._max_retries and (upload is None or upload.repeatable)
            try:
                response = self._client.send(request, stream=stream)
            except httpx.TransportError as lost:
                if not may_retry:
                    raise self._unreachable(lost) from lost
                self.sleep(_backoff(tried))
            else:
                if response.is_success or response.status_code == httpx.codes.PARTIAL_CONTENT:
                    return response
                wait = _retry_after(response)
                try:
                    response.read()
                except httpx.TransportError as lost:
                    raise self._unreachable(lost) from lost
                problem = problem_from(response, retry_after=wait)
                # While the first try is still at work, its answer is a moment away.
                again = response.status_code in RETRIED_STATUSES or (key and problem.code == IN_PROGRESS)
                # Tomorrow's quota is not there in a minute.
                too_long = (
                    response.status_code == httpx.codes.TOO_MANY_REQUESTS
                    and (wait or 0) > LONGEST_RETRY_AFTER
                )
                if not may_retry or not again or too_long:
                    raise problem
                self.sleep(wait if wait is not None and wait <= LONGEST_RETRY_AFTER else _backoff(tried))
            tried += 1

    def _unreachable(self, lost: httpx.TransportError) -> ServiceUnreachableError:
        what = "did not answer in time" if isinstance(lost, httpx.TimeoutException) else "cannot be reached"
        reason = f" ({lost})" if str(lost) else ""
        return ServiceUnreachableError(
            f"The SteadyRank service at {self.base_url} {what}{reason}.",
            hint="Is it running? Start one here with `steadyrank up`, or check STEADYRANK_URL.",
        )


def _key(given: str | None) -> str:
    """The caller's key, or a fresh one. SteadyRankError for one that the service, or HTTP, would refuse."""
    if given is None:
        return uuid.uuid4().hex
    if not _KEY.fullmatch(given):
        raise SteadyRankError(
            f"{given!r} is no idempotency key.", hint="1 to 255 printable ASCII characters without spaces."
        )
    return given


def _backoff(tried: int) -> float:
    """Seconds before the next try: 0.5, 1, 2, 4, then 8, each shortened at random by up to half."""
    return float(min(8.0, 0.5 * 2**tried) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret


def _retry_after(response: httpx.Response) -> float | None:
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
