"""API keys as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from app.accounts.scopes import Scope
from app.db.models.api_key import ApiKey
from app.moments import Moment

KEY_ID = "key_01k9z3v5m8qpx7c2h4t6w0ynrb"
EXAMPLE: dict[str, Any] = {
    "id": KEY_ID,
    "object": "api_key",
    "name": "nightly training",
    "hint": "sr_9fGh",
    "scopes": ["submit"],
    "created_at": "2025-11-23T13:51:01Z",
    "expires_at": "2026-11-23T00:00:00Z",
    "last_used_at": None,
    "revoked_at": None,
}
CREATE: dict[str, Any] = {
    "name": "nightly training",
    "scopes": ["submit"],
    "expires_at": "2126-11-23T00:00:00Z",
}


class ApiKeyCreate(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    """What it is for."""
    scopes: list[Scope] = Field(default=[Scope.SUBMIT], min_length=1, max_length=len(Scope))
    """What it may do: `read`, `submit` (reads too), `admin` (the whole project), `operator` (projects)."""
    expires_at: Moment | None = None
    """From when on it opens nothing; null for never."""


class ApiKeyObject(BaseModel):
    """A key of the project; its secret was shown when it was made."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    object: Literal["api_key"] = "api_key"
    name: str
    hint: str = Field(description="The secret's first characters, to tell keys apart")
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute")
    revoked_at: datetime | None

    @classmethod
    def of(cls, row: ApiKey) -> Self:
        """The object of a row."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields if name != "object"})


class ApiKeyCreated(ApiKeyObject):
    """A key that was just made, with its secret: it is not stored and cannot be shown again."""

    secret: str | None = Field(description="Null only where a repeated request is answered once more")
