"""Data sets made of others: by named transforms, or by forgetting users. The light worker makes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy.orm import Session

from app.accounts import quotas
from app.config import Settings
from app.datasets import queries, versions
from app.datasets.forgetting import FORGET, order_to_forget
from app.datasets.using import not_ready
from app.datasets.version_schemas import ForgetRequest, TransformRequest
from app.db.models.dataset import Dataset
from app.db.session import send_after_commit
from app.errors import NotFoundError
from app.state_errors import InUseError
from app.task_names import LIGHT_QUEUE, VALIDATE_DATASET


def transform(
    session: Session, settings: Settings, project_id: str, dataset_id: str, wanted: TransformRequest
) -> Dataset:
    """Begin a data set that is another one after some transforms; the light worker is woken after the commit.

    Raises NotFoundError, DatasetNotReadyError, QuotaExceeded.
    """
    parent = _ready(session, project_id, dataset_id)
    quotas.require_room(session, settings, project_id, 1)
    steps = [{"name": name} for name in wanted.transforms]
    return _begin(session, parent, steps, name=wanted.name or parent.name)


def forget(
    session: Session, settings: Settings, project_id: str, dataset_id: str, wanted: ForgetRequest
) -> Dataset:
    """Begin a data set that is another one without some users.

    Raises NotFoundError, DatasetNotReadyError, QuotaExceeded; InUseError when the other is to be deleted and
    still needed.
    """
    parent = _ready(session, project_id, dataset_id)
    in_use = queries.users_of(session, dataset_id) if wanted.delete_parent else []
    if in_use:
        raise InUseError(
            "The data set cannot be deleted: what `used_by` names still needs it.",
            code="dataset_in_use",
            used_by=in_use,
            hint="Wait for them or cancel them first, or leave `delete_parent` out.",
            pointer="/delete_parent",
        )
    if not wanted.delete_parent:  # else the new version takes the place of a larger one
        quotas.require_room(session, settings, project_id, 1)
    order = order_to_forget(wanted.users, delete_parent=wanted.delete_parent)
    steps = [{"name": FORGET, "users_named": len(set(wanted.users))}]
    return _begin(session, parent, steps, to_forget=order)


def _ready(session: Session, project_id: str, dataset_id: str) -> Dataset:
    """The data set, held against every other writer: a job may not come to need one that is to be deleted."""
    dataset = queries.find(session, project_id, dataset_id, lock=True)
    if dataset is None:
        raise NotFoundError.of("dataset", dataset_id)
    if dataset.status != "ready":
        raise not_ready(dataset, pointer="path:dataset_id")
    return dataset


def _begin(
    session: Session,
    parent: Dataset,
    steps: Sequence[dict[str, Any]],
    *,
    name: str | None = None,
    to_forget: dict[str, Any] | None = None,
) -> Dataset:
    name = name or parent.name
    dataset = Dataset(
        project_id=parent.project_id,
        name=name,
        version=versions.next_version(session, parent.project_id, name),
        status="validating",
        filename=PurePosixPath(parent.filename).name.split(".")[0] + ".parquet",
        bytes=0,
        sha256="",
        options={},
        problems=[],
        lineage={
            "parent": parent.id,
            "parent_version": parent.version,
            "parent_content_sha256": parent.content_sha256,
            "transforms": list(steps),
        },
        to_forget=to_forget,
    )
    session.add(dataset)
    session.flush()
    send_after_commit(session, VALIDATE_DATASET, dataset.id, queue=LIGHT_QUEUE)
    return dataset
