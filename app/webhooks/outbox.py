"""Writing down what is to be sent, in the transaction of what happened: both are there, or neither is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, load_only

from app.db.ids import new_id
from app.db.models.batch_recommendation import BatchRecommendation
from app.db.models.evaluation import Evaluation
from app.db.models.job import Job
from app.db.models.job_event import JobEvent
from app.db.models.webhook_delivery import WebhookDelivery
from app.db.models.webhook_endpoint import WebhookEndpoint
from app.webhooks.events import ALL, OF_JOB_STATUS, WebhookEvent


def announce_job(session: Session, job: Job, event: JobEvent) -> None:
    """Tell of a job's move; the webhook's id is that of the job's event, and carries its number."""
    type = OF_JOB_STATUS.get(job.status)
    if type is not None:
        data = {"id": job.id, "object": "job", "status": str(job.status), "sequence": event.sequence}
        announce(session, job.project_id, type, data, event_id=event.id, at=event.created_at)


def announce_dataset(
    session: Session, project_id: str, dataset_id: str, status: str, *, at: datetime
) -> None:
    """Tell that a data set has been read: it is `ready` or `rejected`."""
    data = {"id": dataset_id, "object": "dataset", "status": status}
    announce(session, project_id, WebhookEvent(f"dataset.{status}"), data, event_id=new_id("evt"), at=at)


def announce_evaluation(session: Session, row: Evaluation, *, at: datetime) -> None:
    """Tell that an evaluation has ended, by its status: `succeeded`, `failed` or `cancelled`."""
    data = {"id": row.id, "object": "evaluation", "status": row.status}
    type = WebhookEvent(f"evaluation.{row.status}")
    announce(session, row.project_id, type, data, event_id=new_id("evt"), at=at)


def announce_recommendations(session: Session, batch: BatchRecommendation, *, at: datetime) -> None:
    """Tell that a batch has ended, by its status: `succeeded` or `failed`. Its path needs its model's id."""
    data = {
        "id": batch.id,
        "object": "model.recommendations",
        "status": batch.status,
        "model": batch.model_id,
    }
    type = WebhookEvent(f"recommendations.{batch.status}")
    announce(session, batch.project_id, type, data, event_id=new_id("evt"), at=at)


def announce(
    session: Session,
    project_id: str,
    type: WebhookEvent,
    data: Mapping[str, Any],
    *,
    event_id: str,
    at: datetime,
) -> int:
    """Add a delivery for every enabled endpoint of the project that wants the event; returns how many.

    Args:
        session: The transaction of the state change.
        project_id: Whose event it is.
        type: What happened.
        data: The body's `data`: id, object and status of what it happened to; thin, without content.
        event_id: The webhook's id.
        at: When it happened.

    """
    wanting = (
        select(WebhookEndpoint)
        .where(
            WebhookEndpoint.project_id == project_id,
            WebhookEndpoint.enabled,
            or_(WebhookEndpoint.events.contains([ALL]), WebhookEndpoint.events.contains([type.value])),
        )
        .options(load_only(WebhookEndpoint.id))
        .order_by(WebhookEndpoint.id)
        # An endpoint that is just being deleted must not break the job's transaction by its foreign key.
        .with_for_update(read=True, key_share=True)
    )
    endpoints = session.execute(wanting).scalars().all()
    for endpoint in endpoints:
        add_delivery(session, endpoint.id, type, data, event_id=event_id, at=at)
    return len(endpoints)


def add_delivery(
    session: Session, endpoint_id: str, type: str, data: Mapping[str, Any], *, event_id: str, at: datetime
) -> WebhookDelivery:
    """Add one delivery, due at once. The body is fixed here, so that every attempt sends the same bytes."""
    body = {"type": str(type), "timestamp": at.astimezone(UTC).isoformat(), "data": dict(data)}
    delivery = WebhookDelivery(
        endpoint_id=endpoint_id,
        event_id=event_id,
        type=str(type),
        body=json.dumps(body, separators=(",", ":"), ensure_ascii=False),
    )
    session.add(delivery)
    session.flush()
    return delivery
