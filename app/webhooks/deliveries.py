"""The life of a delivery: claimed by one sender under a lease, sent outside of any transaction, settled.

    pending → succeeded                  a 2xx
    pending → pending, later             anything else, with growing waits
    pending → failed                     the waits are used up, or the receiver is gone (410)
    succeeded, failed → pending          sent again on request

Who died between claim and settlement leaves a lease that runs out; then the delivery is due again, under the
same webhook-id. `attempt` is the fencing token: a sender that comes too late settles nothing.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, exists, func, or_, select
from sqlalchemy.orm import Session, aliased, undefer

from app.config import Settings
from app.db.clock import clock_time
from app.db.ids import new_id
from app.db.models.webhook_delivery import WebhookDelivery
from app.db.models.webhook_endpoint import WebhookEndpoint
from app.webhooks.events import TEST, WebhookEvent
from app.webhooks.outbox import announce

if TYPE_CHECKING:  # the API, which sends nothing, needs no HTTP client
    from app.webhooks.sending import Outcome

logger = logging.getLogger(__name__)

GONE = 410
LOGGED_ATTEMPTS = 20
"""So many of a delivery's attempts are kept, the latest."""
_LONGEST_RETRY_AFTER = 24 * 3600.0
_SWEPT_AT_ONCE = 1000


@dataclass(frozen=True)
class Claim:
    """One attempt at one delivery, and all that sending needs."""

    delivery_id: str
    endpoint_id: str
    attempt: int
    url: str
    event_id: str
    body: bytes
    secrets: tuple[str, ...]
    at: datetime


def claim_due(session: Session, settings: Settings) -> Claim | None:
    """Take the delivery that has been due for longest; None when nothing is due.

    An endpoint gets one at a time, and a project all slots but one: slow receivers hold up themselves, and
    their own project, and nobody else.
    """
    now = clock_time(session)
    other, others = aliased(WebhookDelivery), aliased(WebhookEndpoint)
    sending = (other.status == "pending") & (other.lease_until > now)
    busy = exists().where(other.endpoint_id == WebhookDelivery.endpoint_id, sending)
    of_project = (
        select(func.count())
        .select_from(other)
        .join(others, others.id == other.endpoint_id)
        .where(others.project_id == WebhookEndpoint.project_id, sending)
        .scalar_subquery()
    )
    delivery = session.execute(
        select(WebhookDelivery)
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
        .where(
            WebhookDelivery.status == "pending",
            WebhookDelivery.next_attempt_at <= now,
            WebhookEndpoint.enabled,
            ~busy,
            of_project < max(1, settings.webhook_concurrency - 1),
        )
        .order_by(WebhookDelivery.next_attempt_at, WebhookDelivery.id)
        .limit(1)
        .with_for_update(of=WebhookDelivery, skip_locked=True)
    ).scalar_one_or_none()
    if delivery is None:
        return None
    delivery.attempt += 1
    delivery.lease_until = now + lease(settings)
    endpoint = session.execute(
        select(WebhookEndpoint)
        .where(WebhookEndpoint.id == delivery.endpoint_id)
        .options(undefer(WebhookEndpoint.secret), undefer(WebhookEndpoint.previous_secret))
    ).scalar_one()
    return Claim(
        delivery.id,
        endpoint.id,
        delivery.attempt,
        endpoint.url,
        delivery.event_id,
        delivery.body.encode(),
        _secrets(endpoint, now),
        now,
    )


def lease(settings: Settings) -> timedelta:
    """How long a claim lasts: longer than an attempt can take."""
    return timedelta(seconds=settings.webhook_timeout_seconds + settings.lease_seconds)


def settle(session: Session, claimed: Claim, outcome: Outcome, settings: Settings) -> bool:
    """Write down what came of an attempt, and what follows; False when the attempt is no longer this one."""
    # The endpoint first, as whoever deletes it does.
    endpoint = session.execute(
        select(WebhookEndpoint)
        .where(WebhookEndpoint.id == claimed.endpoint_id)
        .with_for_update(key_share=True)
    ).scalar_one_or_none()
    delivery = session.execute(
        select(WebhookDelivery)
        .where(
            WebhookDelivery.id == claimed.delivery_id,
            WebhookDelivery.attempt == claimed.attempt,
            WebhookDelivery.status == "pending",
        )
        .with_for_update()
    ).scalar_one_or_none()
    if endpoint is None or delivery is None:
        return False
    now = clock_time(session)
    delivery.lease_until = None
    delivery.attempts = [*delivery.attempts, _entry(claimed, outcome)][-LOGGED_ATTEMPTS:]
    if outcome.error is None:
        _end(delivery, "succeeded", now)
        endpoint.failing_since = None
        return True
    logger.info("webhook %s to %s: %s", delivery.id, endpoint.id, outcome.error)
    wait = _wait(delivery, outcome, settings)
    if wait is None:
        _end(delivery, "failed", now)
    else:
        delivery.next_attempt_at = now + wait
    if delivery.type != TEST:
        endpoint.failing_since = endpoint.failing_since or now
    if outcome.status_code == GONE:
        _disable(session, endpoint, "gone", now)
    elif wait is None and _failing_for_long(endpoint, now, settings):
        _disable(session, endpoint, "failing", now)
    return True


def queue_again(session: Session, delivery: WebhookDelivery) -> None:
    """Make it due now, with all its waits anew; one that is just being sent stays as it is.

    The caller holds the row's lock.
    """
    now = clock_time(session)
    if delivery.lease_until is not None and delivery.lease_until > now:
        return
    delivery.status, delivery.next_attempt_at = "pending", now
    delivery.lease_until = delivery.ended_at = None
    delivery.round_began_after = delivery.attempt
    session.flush()


def forget_deliveries(session: Session, settings: Settings) -> int:
    """Remove deliveries that ended long ago, or wait that long for an endpoint that is switched off.

    Called by the reaper. Returns how many.
    """
    before = func.now() - timedelta(seconds=settings.webhook_keep_seconds)
    old = (
        select(WebhookDelivery.id)
        .where(
            WebhookDelivery.created_at < before,
            or_(WebhookDelivery.ended_at < before, WebhookDelivery.next_attempt_at < before),
        )
        .limit(_SWEPT_AT_ONCE)
    )
    removed = session.execute(
        delete(WebhookDelivery).where(WebhookDelivery.id.in_(old)).returning(WebhookDelivery.id)
    )
    return len(removed.all())


def _secrets(endpoint: WebhookEndpoint, now: datetime) -> tuple[str, ...]:
    until = endpoint.previous_secret_until
    if endpoint.previous_secret is None or until is None or until <= now:
        return (endpoint.secret,)
    return endpoint.secret, endpoint.previous_secret


def _entry(claimed: Claim, outcome: Outcome) -> dict[str, Any]:
    return {
        "n": claimed.attempt,
        "at": claimed.at.isoformat(),
        "milliseconds": round(1000 * outcome.seconds),
        "status_code": outcome.status_code,
        "response": outcome.response,
        "error": outcome.error,
    }


def _end(delivery: WebhookDelivery, status: str, now: datetime) -> None:
    delivery.status, delivery.next_attempt_at, delivery.ended_at = status, None, now


def _wait(delivery: WebhookDelivery, outcome: Outcome, settings: Settings) -> timedelta | None:
    """How long until the next attempt; None when there is none."""
    tried = delivery.attempt - delivery.round_began_after
    waits = settings.webhook_retry_seconds
    if outcome.status_code == GONE or delivery.type == TEST or tried > len(waits):
        return None
    # A tenth at random: receivers that came back are not met by everything at once.
    seconds = waits[tried - 1] * random.uniform(1.0, 1.1)  # noqa: S311 - no secret
    asked = min(outcome.retry_after or 0.0, _LONGEST_RETRY_AFTER)
    return timedelta(seconds=max(seconds, asked))


def _failing_for_long(endpoint: WebhookEndpoint, now: datetime, settings: Settings) -> bool:
    since = endpoint.failing_since
    return since is not None and now - since >= timedelta(seconds=settings.webhook_disable_after_seconds)


def _disable(session: Session, endpoint: WebhookEndpoint, reason: str, now: datetime) -> None:
    logger.warning("webhook endpoint %s is switched off: %s", endpoint.id, reason)
    endpoint.enabled, endpoint.disabled_reason = False, reason
    session.flush()
    data = {"id": endpoint.id, "object": "webhook_endpoint", "status": "disabled", "reason": reason}
    event = WebhookEvent.ENDPOINT_DISABLED
    announce(session, endpoint.project_id, event, data, event_id=new_id("evt"), at=now)
