"""Where a project's events are sent."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, PrefixedId


class WebhookEndpoint(PrefixedId, CreatedAt, Base):
    """An address, and the events that it wants.

    The secret stands here as it is, since signing needs it (an HMAC cannot be made from a hash). It is loaded
    only where a delivery is signed, and shown in no answer but the one in which it was made.
    """

    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        CheckConstraint("jsonb_array_length(events) > 0", name="events"),
        CheckConstraint("NOT (enabled AND disabled_reason IS NOT NULL)", name="enabled_has_no_reason"),
        CheckConstraint(
            "(previous_secret IS NULL) = (previous_secret_until IS NULL)", name="previous_secret"
        ),
        Index(None, "project_id", "id"),
    )
    id_prefix = "whk"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    url: Mapped[str]
    events: Mapped[list[str]]
    """Names out of app/webhooks/events.py, or `*` alone."""
    description: Mapped[str | None]
    enabled: Mapped[bool] = mapped_column(server_default="true")
    disabled_reason: Mapped[str | None]
    """Why the service switched it off: `failing` or `gone`."""
    secret: Mapped[str] = mapped_column(deferred=True)
    previous_secret: Mapped[str | None] = mapped_column(deferred=True)
    previous_secret_until: Mapped[datetime | None]
    """Until then the secret before the rotation signs too."""
    failing_since: Mapped[datetime | None]
    """The first failure after the last success."""
