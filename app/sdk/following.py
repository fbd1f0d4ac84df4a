"""Following a job's events over server-sent events: lost connections are made again where they broke."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from http import HTTPStatus

import httpx

from app.sdk.errors import RateLimitedError, ServerError, ServiceUnreachableError
from app.sdk.objects.fields import TERMINAL_STATUSES
from app.sdk.objects.jobs import Event
from app.sdk.transport import Transport

_PAUSE_SECONDS = 1.0


def follow_events(
    transport: Transport, path: str, *, after: str | int | None, outage: float
) -> Iterator[Event]:
    """The events after one of them, as they happen, until the job has ended.

    Raises:
        ServiceUnreachableError: The service was away for more than `outage` seconds.

    """
    seen = str(after) if after is not None else None
    over = False
    heard = time.monotonic()
    while not over:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": seen} if seen else {})}
        try:
            with transport.stream(path, headers=headers) as response:
                heard = time.monotonic()
                if response.status_code == HTTPStatus.NO_CONTENT:
                    return
                for event in _events(response.iter_lines()):
                    seen = str(event.sequence)
                    yield event
                    # A job that is run again goes on after its end: only the stream's own end decides.
                    over = _is_end(event)
        except httpx.TransportError:
            over, heard = False, time.monotonic()
        except (ServiceUnreachableError, ServerError, RateLimitedError):
            if time.monotonic() - heard > outage:
                raise
        if not over:
            transport.sleep(_PAUSE_SECONDS)


def _events(lines: Iterable[str]) -> Iterator[Event]:
    """The events in a stream's lines; comments, and an event that was cut, are left out."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield Event.from_json(json.loads("\n".join(data)))
            data.clear()


def _is_end(event: Event) -> bool:
    return event.type == "job.status" and event.data.get("to") in TERMINAL_STATUSES
