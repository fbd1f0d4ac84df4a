"""Webhook endpoints and deliveries as clients see them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.db.models.webhook_delivery import WebhookDelivery
from app.db.models.webhook_endpoint import WebhookEndpoint
from app.examples import JOB_ID
from app.webhooks.events import ALL, WebhookEvent

ENDPOINT_ID = "whk_01k9z6b3x5m8qpv3h6t0w9nyd4"
DELIVERY_ID = "dlv_01k9z6c7r2x5m8qpv3h6t0w9ny"
EVENT_ID = "evt_01k9z6c7r1v5m8qpx7c2h4t6w0"
CREATE: dict[str, Any] = {
    "url": "https://example.com/hooks/steadyrank",
    "events": ["job.succeeded", "job.failed"],
    "description": "nightly training",
}
ENDPOINT: dict[str, Any] = {
    "id": ENDPOINT_ID,
    "object": "webhook_endpoint",
    **CREATE,
    "enabled": True,
    "disabled_reason": None,
    "failing_since": None,
    "previous_secret_until": None,
    "created_at": "2025-11-23T14:30:00Z",
}
CREATED: dict[str, Any] = {**ENDPOINT, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
BODY: dict[str, Any] = {
    "type": "job.succeeded",
    "timestamp": "2025-11-23T14:41:07.120000+00:00",
    "data": {"id": JOB_ID, "object": "job", "status": "succeeded", "sequence": 14},
}
DELIVERY: dict[str, Any] = {
    "id": DELIVERY_ID,
    "object": "webhook_delivery",
    "webhook_endpoint": ENDPOINT_ID,
    "webhook_id": EVENT_ID,
    "type": "job.succeeded",
    "status": "pending",
    "body": BODY,
    "attempts": [
        {
            "n": 1,
            "at": "2025-11-23T14:41:08Z",
            "milliseconds": 212,
            "status_code": 503,
            "response": "busy",
            "error": "the receiver answered 503",
        }
    ],
    "next_attempt_at": "2025-11-23T14:41:13Z",
    "created_at": "2025-11-23T14:41:07Z",
    "ended_at": None,
}

DeliveryStatus = Literal["pending", "succeeded", "failed"]


def _all_or_some(events: list[str]) -> list[str]:
    if ALL in events and len(events) > 1:
        raise ValueError("`*` means all events and stands alone")
    return events


Events = Annotated[
    list[WebhookEvent | Literal["*"]], Field(min_length=1, max_length=50), AfterValidator(_all_or_some)
]


class EndpointCreate(BaseModel):
    """An endpoint to be registered."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, json_schema_extra={"examples": [CREATE]}
    )

    url: str = Field(min_length=1, max_length=2048)
    """Where to send: http or https (https alone in production), to a public address."""
    events: Events = ["*"]
    """Which events to send; `["*"]` for all, those of later releases included."""
    description: str | None = Field(default=None, max_length=500)
    """What it is for."""
    enabled: bool = True
    """Whether anything is sent."""


class EndpointChange(BaseModel):
    """What of an endpoint may be changed; what is left out stays."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    url: str | None = Field(default=None, min_length=1, max_length=2048)
    """Where to send from now on, what is waiting included."""
    events: Events | None = None
    """Which events to send from now on."""
    description: str | None = Field(default=None, max_length=500)
    """What it is for; null takes it away."""
    enabled: bool | None = None
    """False keeps what is waiting, and writes nothing more down; true sends again."""


class EndpointObject(BaseModel):
    """Where events of the project are sent; its secret was shown when it was made."""

    model_config = ConfigDict(json_schema_extra={"examples": [ENDPOINT]})

    id: str
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    url: str
    events: list[str]
    description: str | None
    enabled: bool
    disabled_reason: str | None = Field(description="Why the service switched it off: failing, gone (410)")
    failing_since: datetime | None = Field(description="The first failure after the last success")
    previous_secret_until: datetime | None = Field(description="Until then two secrets sign")
    created_at: datetime

    @classmethod
    def of(cls, row: WebhookEndpoint) -> Self:
        """The object of a row."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields if name != "object"})


class EndpointCreated(EndpointObject):
    """An endpoint with a secret that was just made: it is shown this once."""

    secret: str | None = Field(description="Null only where a repeated request is answered once more")

    @classmethod
    def with_secret(cls, row: WebhookEndpoint, secret: str) -> Self:
        """The object of a row and the secret."""
        return cls(**EndpointObject.of(row).model_dump(), secret=secret)


class EndpointDeleted(BaseModel):
    """A deleted endpoint."""

    id: str
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    deleted: Literal[True] = True
    freed_bytes: int = 0


class DeliveryAttempt(BaseModel):
    """One request to a receiver, and what came of it."""

    n: int
    at: datetime
    milliseconds: int
    status_code: int | None
    response: str = Field(description="The first 1024 bytes of the answer's body")
    error: str | None = Field(description="Why it counts as a failure; null after a 2xx")


class DeliveryObject(BaseModel):
    """One event for one endpoint."""

    model_config = ConfigDict(json_schema_extra={"examples": [DELIVERY]})

    id: str
    object: Literal["webhook_delivery"] = "webhook_delivery"
    webhook_endpoint: str
    webhook_id: str = Field(description="The header webhook-id: the same at every attempt")
    type: str
    status: DeliveryStatus
    body: dict[str, Any]
    attempts: list[DeliveryAttempt] = Field(description="The latest 20")
    next_attempt_at: datetime | None
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, row: WebhookDelivery) -> Self:
        """The object of a row."""
        return cls(
            id=row.id,
            webhook_endpoint=row.endpoint_id,
            webhook_id=row.event_id,
            type=row.type,
            status=row.status,
            body=json.loads(row.body),
            attempts=[DeliveryAttempt.model_validate(attempt) for attempt in row.attempts],
            next_attempt_at=row.next_attempt_at,
            created_at=row.created_at,
            ended_at=row.ended_at,
        )
