"""API keys, as hashes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, PrefixedId


class ApiKey(PrefixedId, CreatedAt, Base):
    """A key of a project. Kept are the SHA-256 of the secret, and its first characters to tell keys apart."""

    __tablename__ = "api_keys"
    __table_args__ = (
        UniqueConstraint("secret_sha256"),
        CheckConstraint("octet_length(secret_sha256) = 32", name="digest"),
        CheckConstraint("jsonb_array_length(scopes) > 0", name="scopes"),
        Index(None, "project_id"),
    )
    id_prefix = "key"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    hint: Mapped[str]
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(server_default=text("'[\"admin\"]'::jsonb"))
    """Names out of app/accounts/scopes.py."""
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
