"""Projects as the operator sees them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from app.accounts.limits import Limits, Retention, limits_of, retention_of
from app.accounts.schemas import EXAMPLE as KEY_EXAMPLE
from app.accounts.schemas import ApiKeyObject
from app.accounts.scopes import Scope
from app.config import Settings
from app.db.models.project import Project
from app.moments import Moment

PROJECT_ID = "prj_01k9z3v5m8qpx7c2h4t6w0ynrb"
_NO_LIMITS: dict[str, Any] = dict.fromkeys(Limits.model_fields, 0)
_NO_END: dict[str, Any] = dict.fromkeys(Retention.model_fields, 0)
EXAMPLE: dict[str, Any] = {
    "id": PROJECT_ID,
    "object": "project",
    "name": "search",
    "limits": {**_NO_LIMITS, "jobs_at_once": 4},
    "own_limits": {**dict.fromkeys(Limits.model_fields), "jobs_at_once": 4},
    "retention": {**_NO_END, "checkpoints_days": 30},
    "own_retention": {**dict.fromkeys(Retention.model_fields), "checkpoints_days": 30},
    "created_at": "2025-11-23T13:51:01Z",
}
CREATE: dict[str, Any] = {
    "name": "search",
    "limits": {"jobs_at_once": 4},
    "retention": {"checkpoints_days": 30},
    "key": {"name": "search team", "scopes": ["admin"]},
}
CREATED: dict[str, Any] = {
    **EXAMPLE,
    "api_key": {**KEY_EXAMPLE, "name": "search team", "scopes": ["admin"], "expires_at": None},
    "secret": "sr_9fGh…",
}

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=100)]


class FirstKey(BaseModel):
    """The first key of a new project."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="first key", min_length=1, max_length=200)
    scopes: list[Literal[Scope.READ, Scope.SUBMIT, Scope.ADMIN]] = Field(
        default=[Scope.ADMIN], min_length=1, max_length=3
    )
    expires_at: Moment | None = None


class ProjectCreate(BaseModel):
    """A project to be made, with its first key."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    limits: Limits = Field(default_factory=Limits)
    retention: Retention = Field(default_factory=Retention)
    key: FirstKey = Field(default_factory=FirstKey)


class ProjectChange(BaseModel):
    """What is to be changed; what is left out stays, a number given as null is as the settings say."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    limits: Limits | None = None
    retention: Retention | None = None


class ProjectObject(BaseModel):
    """A project: what holds for it, and what of that is its own."""

    id: str
    object: Literal["project"] = "project"
    name: str
    limits: Limits = Field(description="What holds; 0 is no limit")
    own_limits: Limits = Field(description="What this project has of its own; null is as the settings say")
    retention: Retention = Field(description="What holds, in days; 0 is for good")
    own_retention: Retention = Field(description="What this project has of its own")
    created_at: datetime

    @classmethod
    def of(cls, row: Project, settings: Settings, **more: Any) -> Self:
        """The object of a row."""
        return cls(
            id=row.id,
            name=row.name,
            limits=limits_of(row, settings),
            own_limits=Limits(**row.limits),
            retention=retention_of(row, settings),
            own_retention=Retention(**row.retention),
            created_at=row.created_at,
            **more,
        )


class ProjectCreated(ProjectObject):
    """A project that was just made, and its first key with its secret."""

    api_key: ApiKeyObject
    secret: str | None = Field(description="Null only where a repeated request is answered once more")


class ProjectDeleted(BaseModel):
    """A project that is gone."""

    id: str
    object: Literal["project"] = "project"
    deleted: bool = True
    deleted_keys: int = Field(description="Keys that went with it")
    freed_bytes: int = Field(default=0, description="None: what holds bytes had to be deleted before")
