"""The outbox of webhooks: one row for an event and an endpoint, written with the state change it tells of."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, PrefixedId


class WebhookDelivery(PrefixedId, CreatedAt, Base):
    """What is to be sent, when, and what came of it. `attempt` is the fencing token of who sends it."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("endpoint_id", "event_id"),
        CheckConstraint("status IN ('pending', 'succeeded', 'failed')", name="status"),
        CheckConstraint("(status = 'pending') = (next_attempt_at IS NOT NULL)", name="pending_has_a_time"),
        CheckConstraint("status = 'pending' OR lease_until IS NULL", name="lease_while_pending"),
        Index(None, "endpoint_id", "id"),
        Index("ix_webhook_deliveries_due", "next_attempt_at", postgresql_where="status = 'pending'"),
        Index(None, "created_at"),
    )
    id_prefix = "dlv"

    endpoint_id: Mapped[str] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    event_id: Mapped[str]
    """The header `webhook-id`: the same at every attempt, so that a receiver knows a repeat."""
    type: Mapped[str]
    body: Mapped[str] = mapped_column(Text)
    """The bytes that are sent and signed, as text."""
    status: Mapped[str] = mapped_column(server_default="pending")
    attempt: Mapped[int] = mapped_column(server_default="0")
    """Attempts begun, over all rounds."""
    round_began_after: Mapped[int] = mapped_column(server_default="0")
    """Attempts before the last redelivery was asked for; the waits grow from there anew."""
    next_attempt_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    lease_until: Mapped[datetime | None]
    attempts: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    """The latest attempts: n, at, status_code, milliseconds, response, error."""
    ended_at: Mapped[datetime | None]
