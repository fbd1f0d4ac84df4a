"""Names, aliases and their moves; recommendations for whole data sets

Revision 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _json() -> postgresql.JSONB:
    return postgresql.JSONB(none_as_null=True, astext_type=sa.Text())


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    default = None if nullable else sa.text("now()")
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=nullable)


def _project(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["project_id"], ["projects.id"], name=op.f(f"fk_{table}_project_id_projects")
    )


def upgrade() -> None:
    op.create_table(
        "model_names",
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("last_version", sa.Integer(), nullable=False),
        sa.CheckConstraint("last_version > 0", name=op.f("ck_model_names_last_version")),
        _project("model_names"),
        sa.PrimaryKeyConstraint("project_id", "name", name=op.f("pk_model_names")),
    )
    op.execute(
        "INSERT INTO model_names (project_id, name, last_version)"
        " SELECT project_id, name, max(version) FROM models GROUP BY project_id, name"
    )
    # Nothing has set an alias so far.
    op.drop_column("models", "aliases")
    op.execute(
        "UPDATE models SET job_facts = models.job_facts"
        " || jsonb_build_object('protocol_hash', jobs.report -> 'protocol_hash')"
        " FROM jobs WHERE jobs.id = models.job_id AND jobs.report ? 'protocol_hash'"
    )
    op.create_table(
        "model_aliases",
        _time("created_at"),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("alias", sa.String(), nullable=False),
        sa.Column("model_id", sa.String(length=40), nullable=False),
        sa.Column("gates", _json(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        _time("moved_at"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_model_aliases_model_id_models")),
        _project("model_aliases"),
        sa.PrimaryKeyConstraint("project_id", "name", "alias", name=op.f("pk_model_aliases")),
    )
    op.create_index(op.f("ix_model_aliases_model_id"), "model_aliases", ["model_id"])
    op.create_table(
        "model_alias_moves",
        sa.Column("id", sa.String(length=40), nullable=False),
        _time("created_at"),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("alias", sa.String(), nullable=False),
        sa.Column("from_model", sa.String(), nullable=True),
        sa.Column("from_version", sa.Integer(), nullable=True),
        sa.Column("to_model", sa.String(), nullable=True),
        sa.Column("to_version", sa.Integer(), nullable=True),
        sa.Column("checks", _json(), nullable=False),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.Column("api_key_id", sa.String(), nullable=True),
        _project("model_alias_moves"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_alias_moves")),
    )
    op.create_index(
        op.f("ix_model_alias_moves_project_id_name_alias_id"),
        "model_alias_moves",
        ["project_id", "name", "alias", "id"],
    )
    _create_batches()


def _create_batches() -> None:
    table = "batch_recommendations"
    checks = {
        "status": "status IN ('queued', 'running', 'succeeded', 'failed')",
        "lease_while_running": "(status = 'running') = (lease_until IS NOT NULL)",
        "ended": "(status IN ('succeeded', 'failed')) = (ended_at IS NOT NULL)",
        "succeeded_has_content": "(status = 'succeeded') = (blob_id IS NOT NULL)",
        "failed_says_why": "(status = 'failed') = (error IS NOT NULL)",
    }
    op.create_table(
        table,
        sa.Column("id", sa.String(length=40), nullable=False),
        _time("created_at"),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("model_id", sa.String(length=40), nullable=False),
        sa.Column("dataset_id", sa.String(length=40), nullable=True),
        sa.Column("dataset_facts", _json(), nullable=False),
        sa.Column("options", _json(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("stats", _json(), nullable=True),
        sa.Column("error", _json(), nullable=True),
        sa.Column("blob_id", sa.String(length=40), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("users_done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts_lost", sa.Integer(), server_default="0", nullable=False),
        _time("lease_until", nullable=True),
        _time("sent_at"),
        _time("started_at", nullable=True),
        _time("ended_at", nullable=True),
        *(sa.CheckConstraint(text, name=op.f(f"ck_{table}_{name}")) for name, text in checks.items()),
        sa.ForeignKeyConstraint(["blob_id"], ["blobs.id"], name=op.f(f"fk_{table}_blob_id_blobs")),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f(f"fk_{table}_dataset_id_datasets"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f(f"fk_{table}_model_id_models")),
        _project(table),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )
    for columns in (["project_id", "id"], ["model_id"], ["dataset_id"], ["blob_id"]):
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns)
    op.create_index(
        f"ix_{table}_unfinished",
        table,
        ["sent_at"],
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )


def downgrade() -> None:
    op.execute(
        "CREATE TEMPORARY TABLE gone ON COMMIT DROP AS"
        " SELECT blob_id FROM batch_recommendations WHERE blob_id IS NOT NULL"
    )
    op.drop_table("batch_recommendations")
    op.execute("DELETE FROM blobs WHERE id IN (SELECT blob_id FROM gone)")
    op.execute("DROP TABLE gone")
    op.drop_table("model_alias_moves")
    op.add_column(
        "models", sa.Column("aliases", _json(), server_default=sa.text("'[]'::jsonb"), nullable=False)
    )
    op.execute(
        "UPDATE models SET aliases = held.aliases FROM (SELECT model_id,"
        " jsonb_agg(alias ORDER BY alias) AS aliases FROM model_aliases GROUP BY model_id) AS held"
        " WHERE held.model_id = models.id"
    )
    op.alter_column("models", "aliases", server_default=None)
    op.drop_table("model_aliases")
    op.drop_table("model_names")
