"""Versions, lineage, findings and previews of data sets; whom a data set forgot

Revision 0010, after 0009.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def _json() -> postgresql.JSONB:
    return postgresql.JSONB(none_as_null=True, astext_type=sa.Text())


def _project(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["project_id"], ["projects.id"], name=op.f(f"fk_{table}_project_id_projects")
    )


def upgrade() -> None:
    op.add_column("datasets", sa.Column("version", sa.Integer(), nullable=True))
    op.execute(
        "UPDATE datasets SET version = counted.version FROM (SELECT id,"
        " row_number() OVER (PARTITION BY project_id, name ORDER BY id) AS version FROM datasets) AS counted"
        " WHERE counted.id = datasets.id"
    )
    op.alter_column("datasets", "version", nullable=False)
    for name in ("content_sha256", "same_content_as"):
        op.add_column("datasets", sa.Column(name, sa.String(), nullable=True))
    for name in ("lineage", "to_forget", "findings", "preview"):
        op.add_column("datasets", sa.Column(name, _json(), nullable=True))
    op.alter_column("datasets", "original_blob", nullable=True)
    op.create_unique_constraint(
        op.f("uq_datasets_project_id_name_version"), "datasets", ["project_id", "name", "version"]
    )
    op.create_check_constraint(op.f("ck_datasets_version"), "datasets", "version > 0")
    op.create_check_constraint(
        op.f("ck_datasets_has_original"),
        "datasets",
        "original_blob IS NOT NULL OR (lineage IS NOT NULL AND status <> 'ready')",
    )
    op.create_check_constraint(
        op.f("ck_datasets_forgets_once"), "datasets", "to_forget IS NULL OR status = 'validating'"
    )
    op.create_index(
        op.f("ix_datasets_project_id_content_sha256"), "datasets", ["project_id", "content_sha256"]
    )
    op.create_index("ix_datasets_parent", "datasets", [sa.literal_column("(lineage ->> 'parent')")])
    op.create_table(
        "dataset_names",
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("last_version", sa.Integer(), nullable=False),
        sa.CheckConstraint("last_version > 0", name=op.f("ck_dataset_names_last_version")),
        _project("dataset_names"),
        sa.PrimaryKeyConstraint("project_id", "name", name=op.f("pk_dataset_names")),
    )
    op.execute(
        "INSERT INTO dataset_names (project_id, name, last_version)"
        " SELECT project_id, name, max(version) FROM datasets GROUP BY project_id, name"
    )
    op.create_table(
        "dataset_forgets",
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("dataset_id", sa.String(length=40), nullable=False),
        sa.Column("made_dataset_id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("users", sa.Integer(), nullable=False),
        sa.CheckConstraint("users > 0", name=op.f("ck_dataset_forgets_users")),
        _project("dataset_forgets"),
        sa.PrimaryKeyConstraint("dataset_id", "made_dataset_id", name=op.f("pk_dataset_forgets")),
    )


def downgrade() -> None:
    op.drop_table("dataset_forgets")
    op.drop_table("dataset_names")
    # One that waits to be derived has no file, which the older code cannot read.
    op.execute("DELETE FROM datasets WHERE original_blob IS NULL")
    op.drop_index("ix_datasets_parent", table_name="datasets")
    op.drop_index(op.f("ix_datasets_project_id_content_sha256"), table_name="datasets")
    for check in ("forgets_once", "has_original", "version"):
        op.drop_constraint(op.f(f"ck_datasets_{check}"), "datasets", type_="check")
    op.drop_constraint(op.f("uq_datasets_project_id_name_version"), "datasets", type_="unique")
    op.alter_column("datasets", "original_blob", nullable=False)
    for name in (
        "preview",
        "findings",
        "to_forget",
        "lineage",
        "same_content_as",
        "content_sha256",
        "version",
    ):
        op.drop_column("datasets", name)
