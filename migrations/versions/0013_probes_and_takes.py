"""Probes, a queue for measuring, and how often light work was taken up in vain

Revision 0013, after 0012.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLE = "probes"
LIGHT_WORK = ("batch_recommendations", "evaluations")


def _json(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=nullable)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=True)


def upgrade() -> None:
    checks = {
        "status": "status IN ('queued', 'running', 'succeeded', 'failed')",
        "ended": "(status IN ('succeeded', 'failed')) = (ended_at IS NOT NULL)",
        "succeeded_has_result": "(status = 'succeeded') = (result IS NOT NULL)",
        "failed_says_why": "(status = 'failed') = (error IS NOT NULL)",
    }
    references = {"project_id": ("projects", None), "dataset_id": ("datasets", "CASCADE")}
    op.create_table(
        TABLE,
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("dataset_id", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        _json("spec"),
        sa.Column("status", sa.String(), server_default="queued", nullable=False),
        _time("started_at"),
        _time("ended_at"),
        _json("result", nullable=True),
        _json("error", nullable=True),
        *(sa.CheckConstraint(text, name=op.f(f"ck_{TABLE}_{name}")) for name, text in checks.items()),
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{table}.id"], name=op.f(f"fk_{TABLE}_{column}_{table}"), ondelete=on_delete
            )
            for column, (table, on_delete) in references.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
    )
    for columns in (["dataset_id"], ["project_id", "key", "created_at"]):
        op.create_index(op.f(f"ix_{TABLE}_{'_'.join(columns)}"), TABLE, columns)
    for table in LIGHT_WORK:
        op.add_column(table, sa.Column("takes", sa.Integer(), server_default="0", nullable=False))
        op.add_column(table, sa.Column("take_error", sa.String(), nullable=True))
    _queues("'light', 'measure', 'train'")


def downgrade() -> None:
    op.execute("DELETE FROM workers WHERE queue = 'measure'")
    _queues("'light', 'train'")
    for table in LIGHT_WORK:
        op.drop_column(table, "take_error")
        op.drop_column(table, "takes")
    op.drop_table(TABLE)


def _queues(names: str) -> None:
    op.drop_constraint(op.f("ck_workers_queue"), "workers", type_="check")
    op.create_check_constraint(op.f("ck_workers_queue"), "workers", f"queue IN ({names})")
