"""Jobs that are paused, and tried again

Revision 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHECKS = {
    "jobs": {
        "status": (
            "status IN ('queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled')",
            "status IN ('queued', 'running', 'pausing', 'paused', 'cancelling',"
            " 'succeeded', 'failed', 'cancelled')",
        ),
        "lease_while_running": (
            "(status IN ('running', 'cancelling')) = (lease_until IS NOT NULL)",
            "(status IN ('running', 'pausing', 'cancelling')) = (lease_until IS NOT NULL)",
        ),
    },
    "job_attempts": {
        "outcome": (
            "outcome IN ('running', 'succeeded', 'failed', 'cancelled', 'released', 'lost')",
            "outcome IN ('running', 'succeeded', 'failed', 'cancelled', 'paused', 'released', 'lost')",
        )
    },
}


def _rewrite(which: int, leased: str) -> None:
    for table, checks in CHECKS.items():
        for name, texts in checks.items():
            op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
            op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, texts[which])
    op.drop_index("ix_jobs_leased", table_name="jobs")
    op.create_index("ix_jobs_leased", "jobs", ["lease_until"], postgresql_where=f"status IN ({leased})")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("tried_before", sa.Integer(), server_default="0", nullable=False))
    _rewrite(1, "'running', 'pausing', 'cancelling'")


def downgrade() -> None:
    # What only the newer version knows becomes what the older one does best with it.
    op.execute("UPDATE jobs SET status = 'queued' WHERE status = 'paused'")
    op.execute("UPDATE jobs SET status = 'running' WHERE status = 'pausing'")
    op.execute("UPDATE job_attempts SET outcome = 'released' WHERE outcome = 'paused'")
    _rewrite(0, "'running', 'cancelling'")
    op.drop_column("jobs", "tried_before")
