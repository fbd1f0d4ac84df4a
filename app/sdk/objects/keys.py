"""Keys of a project."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from app.sdk.objects.fields import JSON, read_time


@dataclass(frozen=True)
class ApiKey:
    """A key of the project; `secret` is there only in the answer that made it, and never shown by repr."""

    id: str
    name: str
    hint: str
    scopes: tuple[str, ...]
    created_at: datetime | None
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    secret: str | None = field(repr=False)
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> ApiKey:
        """Read the service's key object."""
        return cls(
            id=str(body["id"]),
            name=str(body.get("name") or ""),
            hint=str(body.get("hint") or ""),
            scopes=tuple(body.get("scopes") or ()),
            created_at=read_time(body.get("created_at")),
            expires_at=read_time(body.get("expires_at")),
            last_used_at=read_time(body.get("last_used_at")),
            revoked_at=read_time(body.get("revoked_at")),
            secret=body.get("secret"),
            raw=body,
        )
