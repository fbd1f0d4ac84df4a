"""How often workers took up a data set and could not begin to read it, as of batches and evaluations

Revision 0015, after 0014.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("takes", sa.Integer(), server_default="0", nullable=False))
    op.add_column("datasets", sa.Column("take_error", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("datasets", "take_error")
    op.drop_column("datasets", "takes")
