"""What can be done with webhook endpoints and their log. Sending is the deliverer's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.at_once import FewAtOnce
from app.config import Settings
from app.db.clock import clock_time
from app.db.ids import new_id
from app.db.models.webhook_delivery import WebhookDelivery
from app.db.models.webhook_endpoint import WebhookEndpoint
from app.errors import ConflictError, NotFoundError
from app.pagination import Page
from app.webhooks import queries
from app.webhooks.addresses import check_url
from app.webhooks.deliveries import queue_again
from app.webhooks.events import TEST
from app.webhooks.outbox import add_delivery
from app.webhooks.schemas import DeliveryStatus, EndpointChange, EndpointCreate
from app.webhooks.signing import new_secret

BOTH_SIGN_FOR = timedelta(hours=24)
"""After a rotation the secret before it signs too, for so long."""
MOST_ENDPOINTS = 50
"""A project has at most so many: every event is written down once for each."""

_LOOKING_UP = FewAtOnce(6, "addresses that are looked up")
"""A name server may take its time (app/webhooks/addresses.py)."""


def create(
    session: Session, settings: Settings, project_id: str, asked: EndpointCreate
) -> tuple[WebhookEndpoint, str]:
    """Register an endpoint; returns the row and its secret, shown this once.

    Raises:
        ValidationFailed: Its address is none, or one that no webhook goes to.
        ConflictError: The project has as many as it may have (`too_many_endpoints`).

    """
    _check(settings, asked.url)
    if queries.count(session, project_id) >= MOST_ENDPOINTS:
        raise ConflictError(
            f"The project has {MOST_ENDPOINTS} webhook endpoints, the most that one may have.",
            code="too_many_endpoints",
            pointer="",
            hint="Delete one that is not needed: DELETE /v1/webhook_endpoints/{id}",
        )
    secret = new_secret()
    endpoint = WebhookEndpoint(
        project_id=project_id,
        url=asked.url,
        events=sorted(set(asked.events)),
        description=asked.description,
        enabled=asked.enabled,
        secret=secret,
    )
    session.add(endpoint)
    session.flush()
    session.refresh(endpoint)
    return endpoint, secret


def get(session: Session, project_id: str, endpoint_id: str, *, lock: bool = False) -> WebhookEndpoint:
    """One endpoint. NotFoundError (`webhook_endpoint_not_found`) when the project has none with that id."""
    endpoint = queries.find(session, project_id, endpoint_id, lock=lock)
    if endpoint is None:
        raise NotFoundError.of("webhook_endpoint", endpoint_id)
    return endpoint


def list_page(session: Session, project_id: str, page: Page) -> tuple[Sequence[WebhookEndpoint], bool]:
    """One page of the project's endpoints, newest first, and whether there are more."""
    return queries.page_of(session, project_id, page)


def change(
    session: Session, settings: Settings, project_id: str, endpoint_id: str, asked: EndpointChange
) -> WebhookEndpoint:
    """Change what was given; switching an endpoint on forgets why it was off.

    Raises:
        NotFoundError: The project has no such endpoint.
        ValidationFailed: The new address is none, or one that no webhook goes to.

    """
    if asked.url is not None:
        _check(settings, asked.url)
    endpoint = get(session, project_id, endpoint_id, lock=True)
    if asked.url is not None:
        endpoint.url = asked.url
    if asked.events is not None:
        endpoint.events = sorted(set(asked.events))
    if "description" in asked.model_fields_set:
        endpoint.description = asked.description
    if asked.enabled is not None and asked.enabled != endpoint.enabled:
        endpoint.enabled = asked.enabled
        endpoint.disabled_reason = endpoint.failing_since = None
    session.flush()
    return endpoint


def delete(session: Session, project_id: str, endpoint_id: str) -> None:
    """Delete an endpoint and its log; what was not sent yet is not sent. NotFoundError."""
    session.delete(get(session, project_id, endpoint_id, lock=True))
    session.flush()


def rotate(session: Session, project_id: str, endpoint_id: str) -> tuple[WebhookEndpoint, str]:
    """Give an endpoint a new secret, shown this once; the one before signs too, for a day. NotFoundError."""
    endpoint = get(session, project_id, endpoint_id, lock=True)
    secret = new_secret()
    now = session.execute(select(func.now())).scalar_one()
    endpoint.previous_secret, endpoint.previous_secret_until = endpoint.secret, now + BOTH_SIGN_FOR
    endpoint.secret = secret
    session.flush()
    return endpoint, secret


def send_test(session: Session, project_id: str, endpoint_id: str) -> WebhookDelivery:
    """Queue a `webhook.test` for one endpoint. NotFoundError; ConflictError when it is switched off."""
    endpoint = _switched_on(get(session, project_id, endpoint_id, lock=True))
    data = {"id": endpoint.id, "object": "webhook_endpoint", "status": "enabled"}
    now = clock_time(session)
    delivery = add_delivery(session, endpoint.id, TEST, data, event_id=new_id("evt"), at=now)
    session.refresh(delivery)
    return delivery


def deliveries_page(
    session: Session,
    project_id: str,
    endpoint_id: str,
    page: Page,
    *,
    status: DeliveryStatus | None = None,
    type: str | None = None,
) -> tuple[Sequence[WebhookDelivery], bool]:
    """One page of an endpoint's log, newest first, and whether there are more. NotFoundError."""
    endpoint = get(session, project_id, endpoint_id)
    return queries.deliveries_of(session, endpoint.id, page, status=status, type=type)


def get_delivery(
    session: Session, project_id: str, endpoint_id: str, delivery_id: str, *, lock: bool = False
) -> WebhookDelivery:
    """One delivery of an endpoint. NotFoundError (`delivery_not_found`)."""
    endpoint = get(session, project_id, endpoint_id, lock=lock)
    delivery = queries.find_delivery(session, endpoint.id, delivery_id, lock=lock)
    if delivery is None:
        raise NotFoundError(
            f"There is no delivery {delivery_id!r} to the endpoint {endpoint_id!r}.",
            code="delivery_not_found",
            hint="GET /v1/webhook_endpoints/{id}/deliveries lists those that are kept.",
            pointer="path:delivery_id",
        )
    return delivery


def redeliver(session: Session, project_id: str, endpoint_id: str, delivery_id: str) -> WebhookDelivery:
    """Send a delivery again, now, whatever came of it; one that waits is sent without waiting longer.

    Raises:
        NotFoundError: The endpoint or the delivery is not there.
        ConflictError: The endpoint is switched off (`webhook_endpoint_disabled`).

    """
    _switched_on(get(session, project_id, endpoint_id, lock=True))
    delivery = get_delivery(session, project_id, endpoint_id, delivery_id, lock=True)
    queue_again(session, delivery)
    return delivery


def _check(settings: Settings, url: str) -> None:
    with _LOOKING_UP.one():
        check_url(
            url,
            allow_private=settings.webhook_allow_private,
            https_only=settings.environment == "production",
        )


def _switched_on(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    if not endpoint.enabled:
        raise ConflictError(
            f"The endpoint {endpoint.id} is switched off.",
            code="webhook_endpoint_disabled",
            pointer="path:webhook_endpoint_id",
            hint='Switch it on first: PATCH /v1/webhook_endpoints/{id} with {"enabled": true}',
        )
    return endpoint
