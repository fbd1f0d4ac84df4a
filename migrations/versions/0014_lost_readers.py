"""How often a data set's reader vanished, apart from how often one began

Revision 0014, after 0013.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What is being read now counts from here: which of its attempts were lost was not written down.
    op.add_column("datasets", sa.Column("attempts_lost", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("datasets", "attempts_lost")
