"""Previews of data sets, and data sets made of others, over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response

from app.datasets import derived, service
from app.datasets.schemas import EXAMPLE, DatasetObject
from app.datasets.version_schemas import (
    FORGET_EXAMPLE,
    LINEAGE_EXAMPLE,
    PREVIEW_EXAMPLE,
    TRANSFORM_EXAMPLE,
    DatasetPreview,
    ForgetRequest,
    TransformRequest,
)
from app.deps import PrincipalDep, SessionDep, SettingsDep
from app.examples import shown
from app.idempotency import IdempotentRoute
from app.problems import problem_responses

router = APIRouter(prefix="/datasets", tags=["datasets"], route_class=IdempotentRoute)


def _made(name: str) -> dict[int | str, dict[str, Any]]:
    lineage = {**LINEAGE_EXAMPLE, "transforms": [{"name": name}]}
    unread = dict.fromkeys(("format", "columns", "stats", "content_sha256", "validated_at"))
    example = {**EXAMPLE, **unread, "version": 2, "status": "validating", "bytes": 0, "sha256": ""}
    return shown({**example, "lineage": lineage}, 201)


@router.get(
    "/{dataset_id}/preview",
    responses={
        **shown(PREVIEW_EXAMPLE),
        **problem_responses(404, 409, 422),
    },
)
def preview_dataset(
    dataset_id: str,
    principal: PrincipalDep,
    session: SessionDep,
    limit: Annotated[int, Query(ge=1, le=100, description="Most rows, and most lines.")] = 20,
) -> DatasetPreview:
    """Show the first interactions as they were understood, beside the first lines of the file."""
    return service.preview(session, principal.project_id, dataset_id, limit)


@router.post(
    "/{dataset_id}/transform",
    status_code=201,
    responses={**_made("drop_duplicates"), **problem_responses(404, 409, 422)},
)
def transform_dataset(
    *,
    dataset_id: str,
    body: Annotated[TransformRequest, Body(openapi_examples={"fixes": {"value": TRANSFORM_EXAMPLE}})],
    principal: PrincipalDep,
    session: SessionDep,
    settings: SettingsDep,
    response: Response,
) -> DatasetObject:
    """Make another version of a data set by named transforms, such as the fixes of its report.

    The data set itself stays as it is. The new one is `validating` until a light worker has made it.
    """
    made = derived.transform(session, settings, principal.project_id, dataset_id, body)
    response.headers["Location"] = f"/v1/datasets/{made.id}"
    return DatasetObject.of(made)


@router.post(
    "/{dataset_id}/forget",
    status_code=201,
    responses={**_made("forget"), **problem_responses(404, 409, 422)},
)
def forget_users(
    *,
    dataset_id: str,
    body: Annotated[ForgetRequest, Body(openapi_examples={"users": {"value": FORGET_EXAMPLE}})],
    principal: PrincipalDep,
    session: SessionDep,
    settings: SettingsDep,
    response: Response,
) -> DatasetObject:
    """Make another version of a data set without some users, and warn on the models trained on earlier ones.

    The ids are not stored: salted hashes of them are until the new version is made, and then their count.
    """
    made = derived.forget(session, settings, principal.project_id, dataset_id, body)
    response.headers["Location"] = f"/v1/datasets/{made.id}"
    return DatasetObject.of(made)
