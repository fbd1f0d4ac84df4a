"""Webhook endpoints of the caller's project, and what was sent to them; all of it needs an admin's key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from app.sdk.answers.deletions import EndpointDeleted
from app.sdk.errors import ProbablyDeletedError
from app.sdk.objects.fields import JSON, id_in_path, id_of, read_time
from app.sdk.secrets import shown_once
from app.sdk.transport import Transport

_ALL = ("*",)
_ROTATE_AGAIN = "Rotate {id} again, now: the receiver's present secret signs no more from then on."


@dataclass(frozen=True)
class WebhookEndpoint:
    """Where events are sent; `secret` is there only in the answer that made it, and never shown by repr."""

    id: str
    url: str
    events: tuple[str, ...]
    description: str | None
    enabled: bool
    disabled_reason: str | None
    failing_since: datetime | None
    previous_secret_until: datetime | None
    created_at: datetime
    secret: str | None = field(repr=False)
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> WebhookEndpoint:
        """Read the service's endpoint object."""
        return cls(
            id=str(body["id"]),
            url=str(body["url"]),
            events=tuple(body["events"]),
            description=body.get("description"),
            enabled=bool(body["enabled"]),
            disabled_reason=body.get("disabled_reason"),
            failing_since=read_time(body.get("failing_since")),
            previous_secret_until=read_time(body.get("previous_secret_until")),
            created_at=datetime.fromisoformat(body["created_at"]),
            secret=body.get("secret"),
            raw=body,
        )


@dataclass(frozen=True)
class DeliveryAttempt:
    """One request to the receiver; `error` says why it counts as a failure, None after a 2xx."""

    n: int
    at: datetime
    milliseconds: int
    status_code: int | None
    response: str
    error: str | None


@dataclass(frozen=True)
class WebhookDelivery:
    """One event for one endpoint: pending, succeeded or failed, with its latest attempts."""

    id: str
    webhook_endpoint: str
    webhook_id: str
    type: str
    status: str
    body: Mapping[str, Any]
    attempts: tuple[DeliveryAttempt, ...]
    next_attempt_at: datetime | None
    created_at: datetime
    ended_at: datetime | None
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> WebhookDelivery:
        """Read the service's delivery object."""
        return cls(
            id=str(body["id"]),
            webhook_endpoint=str(body["webhook_endpoint"]),
            webhook_id=str(body["webhook_id"]),
            type=str(body["type"]),
            status=str(body["status"]),
            body=dict(body["body"]),
            attempts=tuple(_attempt(row) for row in body["attempts"]),
            next_attempt_at=read_time(body.get("next_attempt_at")),
            created_at=datetime.fromisoformat(body["created_at"]),
            ended_at=read_time(body.get("ended_at")),
            raw=body,
        )


class WebhookEndpoints:
    """`client.webhook_endpoints`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self, url: str, *, events: Sequence[str] = _ALL, description: str | None = None, enabled: bool = True
    ) -> WebhookEndpoint:
        """Register an address; the answer's `secret` is shown this once (app.sdk.webhooks.verify needs it).

        `events` are names such as `job.succeeded`, or `*` alone for all. ValidationFailedError says what is
        wrong with the address: only public ones are taken unless the operator allows others. SecretLostError
        if the answer with the secret got lost.
        """
        body = {"url": url, "events": list(events), "description": description, "enabled": enabled}
        made = self._transport.json("POST", "/v1/webhook_endpoints", body=body)
        return WebhookEndpoint.from_json(
            shown_once(made, "The endpoint", remedy="Rotate the secret of {id}.")
        )

    def list(self, *, page_size: int | None = None) -> Iterator[WebhookEndpoint]:
        """All endpoints of the project, newest first, without their secrets."""
        pages = self._transport.pages("/v1/webhook_endpoints", params={"limit": page_size})
        return map(WebhookEndpoint.from_json, pages)

    def get(self, endpoint: str | WebhookEndpoint) -> WebhookEndpoint:
        """One endpoint, without its secret."""
        return WebhookEndpoint.from_json(self._transport.json("GET", _path(endpoint)))

    def update(self, endpoint: str | WebhookEndpoint, **changes: Any) -> WebhookEndpoint:
        """Change `url`, `events`, `description` or `enabled`; what is left out stays."""
        return WebhookEndpoint.from_json(self._transport.json("PATCH", _path(endpoint), body=changes))

    def delete(self, endpoint: str | WebhookEndpoint) -> EndpointDeleted:
        """Delete an endpoint and its log; what was not sent yet is not sent."""
        try:
            return cast("EndpointDeleted", self._transport.json("DELETE", _path(endpoint)))
        except ProbablyDeletedError:
            # An endpoint holds no bytes, so that all of the lost answer is known.
            return {"id": id_of(endpoint), "object": "webhook_endpoint", "deleted": True, "freed_bytes": 0}

    def test(self, endpoint: str | WebhookEndpoint) -> WebhookDelivery:
        """Send a `webhook.test`, once; `delivery` shows what came of it."""
        return WebhookDelivery.from_json(self._transport.json("POST", f"{_path(endpoint)}/test"))

    def rotate(self, endpoint: str | WebhookEndpoint) -> WebhookEndpoint:
        """Make a new `secret`, shown this once; for 24 hours the one before signs too.

        SecretLostError if the answer with the secret got lost.
        """
        made = self._transport.json("POST", f"{_path(endpoint)}/rotate")
        return WebhookEndpoint.from_json(shown_once(made, "A new secret of", remedy=_ROTATE_AGAIN))

    def deliveries(
        self,
        endpoint: str | WebhookEndpoint,
        *,
        status: str | None = None,
        type: str | None = None,
        page_size: int | None = None,
    ) -> Iterator[WebhookDelivery]:
        """What was sent to an endpoint or waits, newest first; all of it, or of one status or event."""
        query = {"status": status, "type": type, "limit": page_size}
        pages = self._transport.pages(f"{_path(endpoint)}/deliveries", params=query)
        return map(WebhookDelivery.from_json, pages)

    def delivery(
        self, delivery: str | WebhookDelivery, *, endpoint: str | WebhookEndpoint | None = None
    ) -> WebhookDelivery:
        """A delivery as it is now; one given by its id needs the endpoint."""
        path = _delivery_path(delivery, endpoint)
        return WebhookDelivery.from_json(self._transport.json("GET", path))

    def redeliver(
        self, delivery: str | WebhookDelivery, *, endpoint: str | WebhookEndpoint | None = None
    ) -> WebhookDelivery:
        """Send a delivery again, now, under the same webhook-id; one given by its id needs the endpoint."""
        path = f"{_delivery_path(delivery, endpoint)}/redeliver"
        return WebhookDelivery.from_json(self._transport.json("POST", path))


def _path(endpoint: str | WebhookEndpoint) -> str:
    return f"/v1/webhook_endpoints/{id_in_path(endpoint)}"


def _delivery_path(delivery: str | WebhookDelivery, endpoint: str | WebhookEndpoint | None) -> str:
    if isinstance(delivery, WebhookDelivery):
        endpoint = delivery.webhook_endpoint
    elif endpoint is None:
        raise TypeError("a delivery given by its id needs its endpoint")
    return f"{_path(endpoint)}/deliveries/{id_in_path(delivery)}"


def _attempt(body: JSON) -> DeliveryAttempt:
    return DeliveryAttempt(
        n=int(body["n"]),
        at=datetime.fromisoformat(body["at"]),
        milliseconds=int(body["milliseconds"]),
        status_code=body.get("status_code"),
        response=str(body.get("response") or ""),
        error=body.get("error"),
    )
