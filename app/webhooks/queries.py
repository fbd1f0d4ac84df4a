"""Reads of the webhook tables, limited to a project."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.models.webhook_delivery import WebhookDelivery
from app.db.models.webhook_endpoint import WebhookEndpoint
from app.pagination import Page, paginate


def find(
    session: Session, project_id: str, endpoint_id: str, *, lock: bool = False
) -> WebhookEndpoint | None:
    """The endpoint, if it is the project's."""
    statement = select(WebhookEndpoint).where(
        WebhookEndpoint.id == endpoint_id, WebhookEndpoint.project_id == project_id
    )
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    return session.execute(statement).scalar_one_or_none()


def count(session: Session, project_id: str) -> int:
    """How many endpoints the project has."""
    statement = select(func.count()).where(WebhookEndpoint.project_id == project_id)
    return session.execute(statement).scalar_one()


def page_of(session: Session, project_id: str, page: Page) -> tuple[Sequence[WebhookEndpoint], bool]:
    """One page of the project's endpoints, newest first, and whether there are more."""
    statement = select(WebhookEndpoint).where(WebhookEndpoint.project_id == project_id)
    return paginate(session, statement, WebhookEndpoint.id, page)


def deliveries_of(
    session: Session, endpoint_id: str, page: Page, *, status: str | None = None, type: str | None = None
) -> tuple[Sequence[WebhookDelivery], bool]:
    """One page of an endpoint's deliveries, newest first, and whether there are more."""
    statement = select(WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint_id)
    if status is not None:
        statement = statement.where(WebhookDelivery.status == status)
    if type is not None:
        statement = statement.where(WebhookDelivery.type == type)
    return paginate(session, statement, WebhookDelivery.id, page)


def find_delivery(
    session: Session, endpoint_id: str, delivery_id: str, *, lock: bool = False
) -> WebhookDelivery | None:
    """The delivery, if it is the endpoint's."""
    statement = select(WebhookDelivery).where(
        WebhookDelivery.id == delivery_id, WebhookDelivery.endpoint_id == endpoint_id
    )
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    return session.execute(statement).scalar_one_or_none()
