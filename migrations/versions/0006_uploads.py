"""Uploads in parts

Revision 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(), server_default="open", nullable=False),
        sa.Column("options", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("part_bytes", sa.Integer(), nullable=False),
        sa.Column("dataset_id", sa.String(length=40), nullable=True),
        sa.Column("active_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('open', 'completed')", name=op.f("ck_uploads_status")),
        sa.CheckConstraint(
            "(status = 'completed') = (completed_at IS NOT NULL)", name=op.f("ck_uploads_completed")
        ),
        sa.CheckConstraint("bytes > 0", name=op.f("ck_uploads_bytes")),
        sa.CheckConstraint("part_bytes > 0 AND part_bytes % 1048576 = 0", name=op.f("ck_uploads_part_bytes")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_uploads_project_id_projects")),
        sa.ForeignKeyConstraint(
            ["dataset_id"],
            ["datasets.id"],
            name=op.f("fk_uploads_dataset_id_datasets"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index(op.f("ix_uploads_project_id_id"), "uploads", ["project_id", "id"])
    op.create_index(op.f("ix_uploads_dataset_id"), "uploads", ["dataset_id"])
    op.create_index(op.f("ix_uploads_active_at"), "uploads", ["active_at"])
    op.create_table(
        "upload_parts",
        sa.Column("upload_id", sa.String(length=40), nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("blob_id", sa.String(length=40), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("n > 0", name=op.f("ck_upload_parts_n")),
        sa.CheckConstraint("bytes > 0", name=op.f("ck_upload_parts_bytes")),
        sa.ForeignKeyConstraint(
            ["upload_id"],
            ["uploads.id"],
            name=op.f("fk_upload_parts_upload_id_uploads"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["blob_id"], ["blobs.id"], name=op.f("fk_upload_parts_blob_id_blobs")),
        sa.PrimaryKeyConstraint("upload_id", "n", name=op.f("pk_upload_parts")),
    )
    op.create_index(op.f("ix_upload_parts_blob_id"), "upload_parts", ["blob_id"])


def downgrade() -> None:
    # Parts that never became a data set are of no use to anything older.
    op.execute("CREATE TEMPORARY TABLE freed_parts AS SELECT blob_id FROM upload_parts")
    op.drop_table("upload_parts")
    op.drop_table("uploads")
    op.execute("DELETE FROM blobs WHERE id IN (SELECT blob_id FROM freed_parts)")
    op.execute("DROP TABLE freed_parts")
