"""Evaluations of stored models

Revision 0012, after 0011.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLE = "evaluations"


def _json(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    default = None if nullable else sa.text("now()")
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=nullable)


def upgrade() -> None:
    checks = {
        "status": "status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')",
        "lease_while_running": "(status = 'running') = (lease_until IS NOT NULL)",
        "ended": "(status IN ('succeeded', 'failed', 'cancelled')) = (ended_at IS NOT NULL)",
        "succeeded_has_report": "(status = 'succeeded') = (report IS NOT NULL)",
        "failed_says_why": "(status = 'failed') = (error IS NOT NULL)",
    }
    references = {
        "project_id": ("projects", None),
        "model_id": ("models", "SET NULL"),
        "dataset_id": ("datasets", "SET NULL"),
        "outcomes_blob": ("blobs", None),
    }
    op.create_table(
        TABLE,
        sa.Column("id", sa.String(length=40), nullable=False),
        _time("created_at"),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("model_id", sa.String(length=40), nullable=True),
        _json("model_facts"),
        sa.Column("dataset_id", sa.String(length=40), nullable=True),
        _json("dataset_facts"),
        _json("spec"),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("phase", sa.String(), nullable=True),
        sa.Column("progress", sa.Float(), server_default="0", nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), server_default="false", nullable=False),
        _json("error", nullable=True),
        _json("report", nullable=True),
        sa.Column("report_markdown", sa.String(), nullable=True),
        sa.Column("outcomes_blob", sa.String(length=40), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts_lost", sa.Integer(), server_default="0", nullable=False),
        _time("lease_until", nullable=True),
        _time("sent_at"),
        _time("started_at", nullable=True),
        _time("ended_at", nullable=True),
        *(sa.CheckConstraint(text, name=op.f(f"ck_{TABLE}_{name}")) for name, text in checks.items()),
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{table}.id"], name=op.f(f"fk_{TABLE}_{column}_{table}"), ondelete=on_delete
            )
            for column, (table, on_delete) in references.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
    )
    for columns in (["project_id", "id"], ["model_id"], ["dataset_id"], ["outcomes_blob"]):
        op.create_index(op.f(f"ix_{TABLE}_{'_'.join(columns)}"), TABLE, columns)
    op.create_index(
        f"ix_{TABLE}_unfinished",
        TABLE,
        ["sent_at"],
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )


def downgrade() -> None:
    op.execute(
        "CREATE TEMPORARY TABLE gone ON COMMIT DROP AS"
        " SELECT outcomes_blob FROM evaluations WHERE outcomes_blob IS NOT NULL"
    )
    op.drop_table(TABLE)
    op.execute("DELETE FROM blobs WHERE id IN (SELECT outcomes_blob FROM gone)")
    op.execute("DROP TABLE gone")
