"""Waiting for what the service works on: how long at most, and how long the service may be away meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from app.sdk.errors import RateLimitedError, ServerError, ServiceUnreachableError, WaitTimeoutError
from app.sdk.objects.fields import JSON, TERMINAL_STATUSES
from app.sdk.transport import Transport

AWAY = (ServiceUnreachableError, ServerError, RateLimitedError)
"""What a service says, or does not, while it restarts or has too much to do: it passes by itself."""

_DOING = {"validating": "being read"}


class HasStatus(Protocol):
    """Anything with a status."""

    @property
    def status(self) -> str:
        """Such as `running`."""


T = TypeVar("T", bound=HasStatus)


class Patience:
    """How long a service may be away: `over` once it was not heard of for so many seconds."""

    def __init__(self, transport: Transport, seconds: float) -> None:
        self._clock = transport.clock
        self._seconds = seconds
        self.hear()

    def hear(self) -> None:
        """Begin anew: something of the service's own arrived."""
        self._heard = self._clock()

    @property
    def over(self) -> bool:
        """Whether it is at an end."""
        return self._clock() - self._heard > self._seconds


def wait_for_end(
    transport: Transport,
    path: str,
    read: Callable[[JSON], T],
    *,
    what: str,
    pauses: Iterator[float],
    timeout: float | None,
    outage: float,
    told: Callable[[T], None] | None = None,
    is_over: Callable[[T], bool] = lambda found: found.status in TERMINAL_STATUSES,
    long_poll: float = 0.0,
    hint: str = "",
) -> T:
    """Look at `path` until what is there has come to its end, and return it.

    Args:
        transport: The connection.
        path: What is looked at.
        read: Makes an object of the answer.
        what: Its name in messages.
        pauses: Seconds before each next look.
        timeout: Seconds to wait; no request outlasts them by more than a moment. None: as long as it takes.
        outage: Seconds that the service may be away meanwhile.
        told: Called with every look.
        is_over: Whether this is the end.
        long_poll: Seconds that the service may hold an answer back until there is news.
        hint: What to do about a timeout.

    Raises:
        WaitTimeoutError: After `timeout` seconds, whether or not the service answers.
        SteadyRankError: It was away for longer than `outage`, or refuses.

    """
    patience = Patience(transport, outage)
    deadline = None if timeout is None else transport.clock() + timeout
    state = "not heard of"
    while True:
        # The service must answer before this client's patience with one request ends.
        held = min(long_poll, transport.timeout / 2)
        seconds = int(held if deadline is None else min(held, deadline - transport.clock() - 1.0))
        pause = next(pauses)
        away = None
        try:
            query = {"wait": seconds if seconds > 0 else None}
            found = read(transport.json("GET", path, params=query, deadline=deadline))
        except AWAY as error:
            if patience.over:
                raise
            pause = max(pause, getattr(error, "retry_after", None) or 0.0)
            away = error
        else:
            if told is not None:
                told(found)
            patience.hear()  # what the caller does meanwhile is no outage
            if is_over(found):
                return found
            state = _DOING.get(found.status, found.status)
        if deadline is not None and transport.clock() + pause > deadline:
            reason = f": {away.detail}" if away is not None else ""
            raise WaitTimeoutError(
                f"{what} is still {state} after {timeout:g} s{reason}", hint=hint
            ) from away
        transport.sleep(pause)
