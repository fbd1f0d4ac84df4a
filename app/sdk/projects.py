"""Projects, which need a key with the scope `operator`, and what the key's own project uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.sdk.objects.fields import JSON, id_in_path, read_time
from app.sdk.objects.keys import ApiKey
from app.sdk.secrets import shown_once
from app.sdk.transport import Transport

_NO_FIRST_KEY = "Delete {id}, which is empty, and make it again: nobody has the secret of its first key."


@dataclass(frozen=True)
class Project:
    """A project: `limits` and `retention` are what holds, `own_…` what it has of its own.

    `secret` and `api_key`, its first key, are there only in the answer that made it.
    """

    id: str
    name: str
    limits: Mapping[str, int]
    own_limits: Mapping[str, int | None]
    retention: Mapping[str, int]
    own_retention: Mapping[str, int | None]
    created_at: datetime
    api_key: ApiKey | None
    secret: str | None = field(repr=False)
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> Project:
        """Read the service's project object."""
        return cls(
            id=str(body["id"]),
            name=str(body["name"]),
            limits=dict(body["limits"]),
            own_limits=dict(body["own_limits"]),
            retention=dict(body["retention"]),
            own_retention=dict(body["own_retention"]),
            created_at=datetime.fromisoformat(body["created_at"]),
            api_key=ApiKey.from_json(body["api_key"]) if body.get("api_key") else None,
            secret=body.get("secret"),
            raw=body,
        )


@dataclass(frozen=True)
class Quota:
    """How much of one thing is used; no limit where `limit` is None."""

    used: int
    limit: int | None
    remaining: int | None
    resets_at: datetime | None


@dataclass(frozen=True)
class Usage:
    """What a project uses now, today and this month (UTC)."""

    project: str
    project_name: str
    quotas: Mapping[str, Quota]
    stored_bytes_by_kind: Mapping[str, int]
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> Usage:
        """Read the service's usage object."""
        return cls(
            project=str(body["project"]),
            project_name=str(body["project_name"]),
            quotas={name: _quota(quota) for name, quota in body["quotas"].items()},
            stored_bytes_by_kind=dict(body["stored_bytes_by_kind"]),
            raw=body,
        )


class Projects:
    """`client.projects`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        name: str,
        *,
        limits: Mapping[str, int | None] | None = None,
        retention: Mapping[str, int | None] | None = None,
        key_name: str = "first key",
        key_scopes: Sequence[str] = ("admin",),
        key_expires_at: datetime | None = None,
    ) -> Project:
        """Make a project and its first key; its `secret` is in this answer and never again.

        SecretLostError if that answer got lost.

        Args:
            name: Unique in the installation.
            limits: `rows`, `stored_bytes`, `jobs_at_once`, `evaluations_at_once`, `batches_at_once`,
                `jobs_a_day`, `runtime_seconds_a_month`; 0 is no limit, what is left out is as the service's
                settings say.
            retention: `checkpoints_days`, `events_days`; 0 is for good.
            key_name: What the first key is for.
            key_scopes: What it may do: `read`, `submit` or `admin`.
            key_expires_at: From when on it opens nothing; needs a time zone.

        """
        key: dict[str, Any] = {"name": key_name, "scopes": list(key_scopes)}
        if key_expires_at is not None:
            key["expires_at"] = key_expires_at.isoformat()
        body: dict[str, Any] = {
            "name": name,
            "limits": dict(limits or {}),
            "retention": dict(retention or {}),
            "key": key,
        }
        made = self._transport.json("POST", "/v1/projects", body=body)
        return Project.from_json(shown_once(made, "The project", remedy=_NO_FIRST_KEY))

    def list(self, *, page_size: int | None = None) -> Iterator[Project]:
        """All projects of the installation, newest first."""
        return map(Project.from_json, self._transport.pages("/v1/projects", params={"limit": page_size}))

    def get(self, project: str | Project) -> Project:
        """One project."""
        return Project.from_json(self._transport.json("GET", _path(project)))

    def change(
        self,
        project: str | Project,
        *,
        name: str | None = None,
        limits: Mapping[str, int | None] | None = None,
        retention: Mapping[str, int | None] | None = None,
    ) -> Project:
        """Change what is given; a number given as None is as the service's settings say from now on."""
        given = {"name": name, "limits": limits, "retention": retention}
        body = {key: value for key, value in given.items() if value is not None}
        return Project.from_json(self._transport.json("PATCH", _path(project), body=body))

    def delete(self, project: str | Project) -> int:
        """Delete an empty project; returns how many keys went with it. InUseError says what is in it."""
        return int(self._transport.json("DELETE", _path(project))["deleted_keys"])


def _quota(body: JSON) -> Quota:
    resets_at = read_time(body.get("resets_at"))
    return Quota(int(body["used"]), body.get("limit"), body.get("remaining"), resets_at)


def _path(project: str | Project) -> str:
    return f"/v1/projects/{id_in_path(project)}"
