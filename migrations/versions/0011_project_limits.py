"""Limits and retention of projects, and what they used day by day

Revision 0011, after 0010.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("limits", "retention"):
        kind = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
        column = sa.Column(name, kind, server_default=sa.text("'{}'::jsonb"), nullable=False)
        op.add_column("projects", column)
    op.create_table(
        "usage_days",
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("jobs", sa.Integer(), server_default="0", nullable=False),
        sa.Column("runtime_seconds", sa.Double(), server_default="0", nullable=False),
        sa.CheckConstraint("jobs >= 0 AND runtime_seconds >= 0", name=op.f("ck_usage_days_counts")),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_usage_days_project_id_projects"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "day", name=op.f("pk_usage_days")),
    )
    # What the jobs that are still there have used already counts too.
    op.execute(
        "INSERT INTO usage_days (project_id, day, jobs)"
        " SELECT project_id, (created_at AT TIME ZONE 'UTC')::date, count(*) FROM jobs GROUP BY 1, 2"
    )
    op.execute(
        "INSERT INTO usage_days (project_id, day, runtime_seconds)"
        " SELECT jobs.project_id, (attempts.ended_at AT TIME ZONE 'UTC')::date,"
        " sum(greatest(extract(epoch FROM attempts.ended_at - attempts.started_at), 0))"
        " FROM job_attempts AS attempts JOIN jobs ON jobs.id = attempts.job_id"
        " WHERE attempts.ended_at IS NOT NULL GROUP BY 1, 2"
        " ON CONFLICT (project_id, day) DO UPDATE SET runtime_seconds = excluded.runtime_seconds"
    )


def downgrade() -> None:
    op.drop_table("usage_days")
    op.drop_column("projects", "retention")
    op.drop_column("projects", "limits")
