"""Webhook endpoints and their outbox

Revision 0008, after 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _json(name: str, default: str | None = None) -> sa.Column[object]:
    kind = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    return sa.Column(name, kind, server_default=default, nullable=False)


def _time(name: str, *, nullable: bool = True, now: bool = False) -> sa.Column[object]:
    default = sa.text("now()") if now else None
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String(length=40), nullable=False),
        _time("created_at", nullable=False, now=True),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        _json("events"),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("disabled_reason", sa.String(), nullable=True),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("previous_secret", sa.String(), nullable=True),
        _time("previous_secret_until"),
        _time("failing_since"),
        sa.CheckConstraint("jsonb_array_length(events) > 0", name=op.f("ck_webhook_endpoints_events")),
        sa.CheckConstraint(
            "NOT (enabled AND disabled_reason IS NOT NULL)",
            name=op.f("ck_webhook_endpoints_enabled_has_no_reason"),
        ),
        sa.CheckConstraint(
            "(previous_secret IS NULL) = (previous_secret_until IS NULL)",
            name=op.f("ck_webhook_endpoints_previous_secret"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_webhook_endpoints_project_id_projects")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoints")),
    )
    op.create_index(op.f("ix_webhook_endpoints_project_id_id"), "webhook_endpoints", ["project_id", "id"])
    checks = {
        "status": "status IN ('pending', 'succeeded', 'failed')",
        "pending_has_a_time": "(status = 'pending') = (next_attempt_at IS NOT NULL)",
        "lease_while_pending": "status = 'pending' OR lease_until IS NULL",
    }
    table = "webhook_deliveries"
    op.create_table(
        table,
        sa.Column("id", sa.String(length=40), nullable=False),
        _time("created_at", nullable=False, now=True),
        sa.Column("endpoint_id", sa.String(length=40), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("status", sa.String(), server_default="pending", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("round_began_after", sa.Integer(), server_default="0", nullable=False),
        _time("next_attempt_at", now=True),
        _time("lease_until"),
        _json("attempts", "[]"),
        _time("ended_at"),
        *(sa.CheckConstraint(text, name=op.f(f"ck_{table}_{name}")) for name, text in checks.items()),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["webhook_endpoints.id"],
            name=op.f("fk_webhook_deliveries_endpoint_id_webhook_endpoints"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint(
            "endpoint_id", "event_id", name=op.f("uq_webhook_deliveries_endpoint_id_event_id")
        ),
    )
    for columns in (["endpoint_id", "id"], ["created_at"]):
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns)
    op.create_index(
        "ix_webhook_deliveries_due",
        table,
        ["next_attempt_at"],
        postgresql_where=sa.text("status = 'pending'"),
    )


def downgrade() -> None:
    op.drop_table("webhook_deliveries")
    op.drop_table("webhook_endpoints")
