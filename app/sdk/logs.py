"""Lines that a job's training processes wrote, and following them until the job has ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.sdk.objects.fields import TERMINAL_STATUSES
from app.sdk.transport import Transport
from app.sdk.waiting import AWAY, Patience

_PAUSE_SECONDS = 1.0
_LAST_WORDS_SECONDS = 2.0


@dataclass(frozen=True)
class LogLine:
    """One line; `level` is None when no logger wrote it. `id` is what `after` takes."""

    id: str
    attempt: int
    number: int
    at: datetime
    level: str | None
    text: str
    raw: dict[str, Any]

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> LogLine:
        """Read one line."""
        return cls(
            id=str(body["id"]),
            attempt=int(body["attempt"]),
            number=int(body["number"]),
            at=datetime.fromisoformat(str(body["at"])),
            level=body.get("level"),
            text=str(body["text"]),
            raw=body,
        )


def read_lines(transport: Transport, job: str, query: dict[str, Any]) -> Iterator[LogLine]:
    """The lines that are there, page after page."""
    return map(LogLine.from_json, transport.pages(f"{job}/logs", params=query))


def follow_lines(
    transport: Transport, job: str, query: dict[str, Any], *, outage: float
) -> Iterator[LogLine]:
    """The lines, and new ones as they come, until the job has ended and its worker has said its last.

    Raises:
        ServiceUnreachableError: The service was away for more than `outage` seconds.

    """
    patience = Patience(transport, outage)
    over_at: float | None = None
    while True:
        try:
            for line in read_lines(transport, job, query):
                query = {**query, "after": line.id, "tail": None}
                yield line
                patience.hear()  # what the caller does meanwhile is no outage
            if over_at is not None and transport.clock() >= over_at:
                return
            ended = transport.json("GET", job)["status"] in TERMINAL_STATUSES
            patience.hear()
        except AWAY:
            if patience.over:
                raise
            ended = False
        if not ended:
            over_at = None
        elif over_at is None:
            over_at = transport.clock() + _LAST_WORDS_SECONDS
        transport.sleep(_PAUSE_SECONDS)
