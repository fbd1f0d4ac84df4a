"""A data set as what new work names: found, held, ready; and what is kept of it once it may be gone."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from app.datasets import queries
from app.db.models.dataset import Dataset
from app.errors import ErrorItem, NotFoundError
from app.state_errors import DatasetNotReadyError
from worker.training.spec import TrainSpec


def ready_dataset(session: Session, project_id: str, dataset_id: str) -> Dataset:
    """The data set, held against its deletion until the transaction ends.

    Raises:
        NotFoundError: The project has no such data set.
        DatasetNotReadyError: It is still being read (`dataset_not_ready`), or was rejected.

    """
    dataset = queries.find_held(session, project_id, dataset_id)
    if dataset is None:
        raise NotFoundError.of("dataset", dataset_id, pointer="/dataset")
    if dataset.status != "ready":
        raise not_ready(dataset, pointer="/dataset")
    return dataset


def not_ready(dataset: Dataset, *, pointer: str) -> DatasetNotReadyError:
    """What is said of a data set that is not ready yet, or was rejected and never will be."""
    if dataset.status == "rejected":
        return DatasetNotReadyError(
            f"Data set {dataset.id} was rejected and cannot be used.",
            code="dataset_rejected",
            hint=f"GET /v1/datasets/{dataset.id}/report says why; mend the file and upload it again.",
            pointer=pointer,
        )
    return DatasetNotReadyError(
        f"Data set {dataset.id} is {dataset.status} and cannot be used yet.",
        hint=f"Poll GET /v1/datasets/{dataset.id} until its status is `ready`.",
        pointer=pointer,
    )


def missing_columns(spec: TrainSpec, dataset: Dataset) -> list[ErrorItem]:
    """What the spec needs of a data set and this one has not: found now, and not by a worker later."""
    columns = dataset.columns or {}
    faults = []
    if spec.min_rating is not None and not columns.get("rating"):
        faults.append(
            ErrorItem(
                "/min_rating",
                "no_ratings",
                "the data set has no rating column",
                spec.min_rating,
                "Leave min_rating out, or upload the file again with ?rating_column=.",
            )
        )
    if spec.split == "temporal" and not columns.get("time"):
        faults.append(
            ErrorItem(
                "/split",
                "no_times",
                "a temporal split needs the time of every interaction, and the data set has none",
                spec.split,
                "Set split to leave_one_out, or upload the file again with ?time_column=.",
            )
        )
    return faults


def facts_of(dataset: Dataset) -> dict[str, Any]:
    """What is kept of a data set with what was made of it."""
    return {"id": dataset.id, "name": dataset.name, "sha256": dataset.sha256}
