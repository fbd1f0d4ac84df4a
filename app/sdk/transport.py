"""One HTTP connection to a service: the key, retries, errors, streams.

Retried with exponential back-off and jitter (or after Retry-After): 408, 429, 502, 503, 504 and lost
connections of requests that may safely be sent twice. A POST may, too: it carries an Idempotency-Key, the
caller's or one of its own, the same at every try, by which the service knows a repeat and answers as it did
before. A DELETE that is sent again and then finds nothing is ProbablyDeletedError.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from app.sdk.discovery import Connection
from app.sdk.errors import NotFoundError, ServiceUnreachableError, SteadyRankError
from app.sdk.http_client import open_client, timeouts
from app.sdk.json_bodies import encoded
from app.sdk.problems import probably_deleted, problem_from
from app.sdk.retries import (
    IN_PROGRESS,
    LONGEST_RETRY_AFTER,
    RETRIED_STATUSES,
    USED_UP,
    backoff,
    key_of,
    may_have_worked,
    retry_after,
)

# What begins just before its deadline is given a moment all the same.
_LEAST_SECONDS = 1.0
_NOT_OURS = "Is this the address of a SteadyRank service?"


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base_url = connection.base_url
        self.timeout = timeout
        self._max_retries = max_retries
        self.sleep = sleep
        self.clock = clock
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
        deadline: float | None = None,
    ) -> dict[str, Any]:
        """Send and return the answer's JSON object; an empty answer gives {}.

        `repeatable` marks a POST that changes nothing and so needs no key to be sent again. Any other has
        `idempotency_key`, or a fresh one; SteadyRankError if that cannot be a key. `deadline`, a time of
        `clock`, is when trying ends.
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
            deadline=deadline,
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
                hint=_NOT_OURS,
            )
        return parsed

    def text(self, path: str, media_type: str, *, params: Mapping[str, Any] | None = None) -> str:
        """GET a text document; ServiceUnreachableError if what comes is of another type."""
        response = self._send("GET", path, params=params, headers={"Accept": media_type})
        self._expect(media_type, response)
        return response.text

    @contextmanager
    def stream(
        self, path: str, *, headers: Mapping[str, str], media_type: str | None = None
    ) -> Iterator[httpx.Response]:
        """GET a body piece by piece; the caller reads it and handles a cut (httpx.RequestError).

        ServiceUnreachableError if there is a body, and of another type than `media_type`.
        """
        accepted = {"Accept": media_type or "*/*", "Accept-Encoding": "identity"}
        response = self._send("GET", path, headers={**accepted, **headers}, stream=True)
        try:
            if media_type is not None and response.status_code != httpx.codes.NO_CONTENT:
                self._expect(media_type, response)
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
        deadline: float | None = None,
        stream: bool = False,
    ) -> httpx.Response:
        query = {name: value for name, value in (params or {}).items() if value is not None}
        key = {"Idempotency-Key": key_of(idempotency_key)} if method == "POST" and not repeatable else {}
        text = None if body is None else encoded(body)
        tried, unsure = 0, False
        while True:
            sent = {**(headers or {}), **key}
            if upload is not None:
                sent["Content-Type"] = upload.content_type
                if upload.size is not None:
                    sent["Content-Length"] = str(upload.size)
            left = None if deadline is None else max(_LEAST_SECONDS, deadline - self.clock())
            if body is not None:
                sent["Content-Type"] = "application/json"
            try:
                request = self._client.build_request(
                    method,
                    path,
                    params=query,
                    headers=sent,
                    content=upload.open() if upload is not None else text,
                    timeout=timeouts(self.timeout if left is None else min(self.timeout, left)),
                )
            except (httpx.InvalidURL, UnicodeEncodeError) as odd:
                raise SteadyRankError(f"{path[:200]!r} cannot be asked for: {odd}.") from odd
            may_retry = tried < self._max_retries and (upload is None or upload.repeatable)
            pause = backoff(tried)
            outcome: httpx.Response | httpx.RequestError
            error: SteadyRankError
            try:
                outcome = response = self._client.send(request, stream=stream)
                if response.is_success:
                    return response
                response.read()
            except httpx.RequestError as lost:
                outcome, error = lost, self._unreachable(lost)
                again = isinstance(lost, httpx.TransportError)
            else:
                error = problem_from(response, retry_after=retry_after(response))
                if unsure and method == "DELETE" and isinstance(error, NotFoundError):
                    raise probably_deleted(error)
                # While the first try is still at work, its answer is a moment away.
                again = error.status in RETRIED_STATUSES or (bool(key) and error.code == IN_PROGRESS)
                # When a place comes free nobody knows: whoever wants to wait for it should see that he does.
                again = again and error.code != USED_UP
                asked = error.retry_after
                if asked is not None and asked <= LONGEST_RETRY_AFTER:
                    pause = asked
                elif asked is not None and error.status == httpx.codes.TOO_MANY_REQUESTS:
                    again = False  # tomorrow's quota is not there in a minute
            if not may_retry or not again or (deadline is not None and self.clock() + pause > deadline):
                raise error from (outcome if isinstance(outcome, Exception) else None)
            unsure = unsure or may_have_worked(outcome)
            self.sleep(pause)
            tried += 1

    def _expect(self, media_type: str, response: httpx.Response) -> None:
        got = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if got != media_type:
            raise ServiceUnreachableError(
                f"{self.base_url} answered with {got or 'no media type'} where {media_type} was asked for.",
                hint=_NOT_OURS,
            )

    def _unreachable(self, lost: httpx.RequestError) -> ServiceUnreachableError:
        if isinstance(lost, httpx.TimeoutException):
            what = "did not answer in time"
        elif isinstance(lost, httpx.TransportError):
            what = "cannot be reached"
        else:
            what = "sent an answer that cannot be read"
        reason = f" ({lost})" if str(lost) else ""
        return ServiceUnreachableError(
            f"The SteadyRank service at {self.base_url} {what}{reason}.",
            hint="Is it running? Start one here with `steadyrank up`, or check STEADYRANK_URL.",
        )
