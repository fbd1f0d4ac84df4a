"""What the caller's project uses, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import func, select

from app.accounts import quotas
from app.accounts.limits import limits_of
from app.accounts.project_schemas import PROJECT_ID
from app.accounts.stored import stored_bytes
from app.db.models.project import Project
from app.deps import PrincipalDep, SessionDep, SettingsDep
from app.examples import shown
from app.problems import problem_responses

router = APIRouter(prefix="/usage", tags=["usage"])


class Quota(BaseModel):
    """How much of one thing is used."""

    used: int
    limit: int | None = Field(description="Null is no limit")
    remaining: int | None
    resets_at: datetime | None = Field(description="When `used` is counted anew; null is never")


class Usage(BaseModel):
    """What a project uses now, today and this month (UTC)."""

    object: Literal["usage"] = "usage"
    project: str
    project_name: str
    at: datetime
    quotas: dict[str, Quota] = Field(description="By the names of a project's limits")
    stored_bytes_by_kind: dict[str, int]


def _quota(used: int, limit: int | None, resets_at: datetime | None = None) -> Quota:
    if not limit:
        return Quota(used=used, limit=None, remaining=None, resets_at=resets_at)
    return Quota(used=used, limit=limit, remaining=max(0, limit - used), resets_at=resets_at)


_TIME = "2025-11-23T13:51:01Z"
EXAMPLE: dict[str, Any] = {
    "object": "usage",
    "project": PROJECT_ID,
    "project_name": "search",
    "at": _TIME,
    "quotas": {
        "stored_bytes": {"used": 61_203_944, "limit": None, "remaining": None, "resets_at": None},
        "jobs_a_day": {"used": 3, "limit": 20, "remaining": 17, "resets_at": "2025-11-24T00:00:00Z"},
    },
    "stored_bytes_by_kind": {"datasets": 2_583_011, "checkpoints": 40_120_000, "models": 18_500_933},
}


@router.get("", responses={**shown(EXAMPLE), **problem_responses()})
def get_usage(principal: PrincipalDep, session: SessionDep, settings: SettingsDep) -> Usage:
    """Show what the key's project uses, its limits, and when they are counted anew."""
    project = session.get_one(Project, principal.project_id)
    limits = limits_of(project, settings)
    now = session.execute(select(func.now())).scalar_one().astimezone(UTC)
    kinds = stored_bytes(session, project.id)
    today, month = quotas.next_day(now), quotas.next_month(now)
    runtime = int(quotas.runtime_of_month(session, project.id, now))
    return Usage(
        project=project.id,
        project_name=project.name,
        at=now,
        quotas={
            "rows": _quota(quotas.rows_used(session, project.id), limits.rows),
            "stored_bytes": _quota(sum(kinds.values()), limits.stored_bytes),
            "jobs_at_once": _quota(quotas.jobs_unfinished(session, project.id), limits.jobs_at_once),
            "evaluations_at_once": _quota(
                quotas.evaluations_unfinished(session, project.id), limits.evaluations_at_once
            ),
            "batches_at_once": _quota(quotas.batches_unfinished(session, project.id), limits.batches_at_once),
            "jobs_a_day": _quota(quotas.jobs_of_day(session, project.id, now), limits.jobs_a_day, today),
            "runtime_seconds_a_month": _quota(runtime, limits.runtime_seconds_a_month, month),
        },
        stored_bytes_by_kind=kinds,
    )
