"""Following a job's events over server-sent events: lost connections are made again where they broke."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from http import HTTPStatus

import httpx

from app.sdk.errors import ServiceUnreachableError
from app.sdk.objects.fields import TERMINAL_STATUSES
from app.sdk.objects.jobs import Event
from app.sdk.transport import Transport
from app.sdk.waiting import AWAY, Patience

_PAUSE_SECONDS = 1.0
_EVENT_STREAM = "text/event-stream"


def follow_events(
    transport: Transport, path: str, *, after: str | int | None, outage: float
) -> Iterator[Event]:
    """The events after one of them, as they happen, until the job has ended.

    Raises:
        ServiceUnreachableError: For more than `outage` seconds the service was away, or no connection brought
            as much as a line of events.

    """
    seen = str(after) if after is not None else None
    over = False
    patience = Patience(transport, outage)
    while not over:
        headers = {"Last-Event-ID": seen} if seen else {}
        lines = _Lines()
        lost: httpx.RequestError | None = None
        try:
            with transport.stream(path, headers=headers, media_type=_EVENT_STREAM) as response:
                if response.status_code == HTTPStatus.NO_CONTENT:
                    return
                for event in _events(lines.of(response)):
                    seen = str(event.sequence)
                    yield event
                    # A job that is run again goes on after its end: only the stream's own end decides.
                    over = _is_end(event)
        except httpx.RequestError as cut:
            over, lost = False, cut
        except AWAY:
            if patience.over:
                raise
        if lines.came:
            patience.hear()
        elif patience.over:
            raise ServiceUnreachableError(
                f"{transport.base_url} ends connections for events before anything comes.",
                hint="Does something between here and the service cut long answers off?",
            ) from lost
        if not over:
            transport.sleep(_PAUSE_SECONDS)


class _Lines:
    """The lines of one connection, and whether any said something: a comment is a sign of life, too."""

    came = False

    def of(self, response: httpx.Response) -> Iterator[str]:
        for line in response.iter_lines():
            self.came = self.came or bool(line)
            yield line


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
