"""Priorities, limits, estimates and kept logs of jobs, and indexes for filtered lists

Revision 0009, after 0008.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("priority", sa.Integer(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("max_runtime", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("max_pending", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("estimate", postgresql.JSONB(none_as_null=True), nullable=True))
    op.create_check_constraint(op.f("ck_jobs_priority"), "jobs", "priority BETWEEN -10 AND 10")
    op.create_check_constraint(op.f("ck_jobs_max_runtime"), "jobs", "max_runtime > 0")
    op.create_check_constraint(op.f("ck_jobs_max_pending"), "jobs", "max_pending > 0")
    op.drop_index("ix_jobs_queued", table_name="jobs")
    op.create_index(
        "ix_jobs_queued",
        "jobs",
        [sa.text("priority DESC"), "queued_at", "id"],
        postgresql_where="status = 'queued'",
    )
    op.create_index("ix_jobs_of_status", "jobs", ["project_id", "status", "id"])
    op.create_index("ix_jobs_of_dataset", "jobs", ["project_id", sa.text("(dataset_facts ->> 'id')"), "id"])
    op.create_index("ix_jobs_labels", "jobs", ["labels"], postgresql_using="gin")
    op.create_table(
        "job_logs",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("level", sa.String(), nullable=True),
        sa.Column("text", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_job_logs_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "attempt", "number", name=op.f("pk_job_logs")),
    )


def downgrade() -> None:
    op.drop_table("job_logs")
    for name in ("ix_jobs_labels", "ix_jobs_of_dataset", "ix_jobs_of_status", "ix_jobs_queued"):
        op.drop_index(name, table_name="jobs")
    op.create_index("ix_jobs_queued", "jobs", ["queued_at"], postgresql_where="status = 'queued'")
    for name in ("priority", "max_runtime", "max_pending"):
        op.drop_constraint(op.f(f"ck_jobs_{name}"), "jobs", type_="check")
    for name in ("estimate", "max_pending", "max_runtime", "priority"):
        op.drop_column("jobs", name)
