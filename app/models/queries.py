"""Reads of models and their files; every one of them is limited to a project."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.db.models.dataset_forget import DatasetForget
from app.db.models.model import Model
from app.db.models.model_alias import ModelAlias
from app.db.models.model_file import ModelFile
from app.models.names import resolve
from app.pagination import Page, paginate


def find(session: Session, project_id: str, model_id: str, *, lock: bool = False) -> Model | None:
    """The model, if it is the project's; with `lock`, held against every other writer.

    `model_id` is an id, or a reference such as `name@3` or `name@production`.
    """
    statement = _statement(session, project_id, model_id)
    return session.execute(statement.with_for_update() if lock else statement).scalar_one_or_none()


def find_held(session: Session, project_id: str, model_id: str) -> Model | None:
    """As `find`, for what will refer to the model: held against its deletion until the transaction ends."""
    statement = _statement(session, project_id, model_id)
    return session.execute(statement.with_for_update(read=True, key_share=True)).scalar_one_or_none()


def _statement(session: Session, project_id: str, model_id: str) -> Select[Model]:
    if "@" in model_id:
        model_id = resolve(session, project_id, model_id) or ""  # no model's id
    return select(Model).where(Model.id == model_id, Model.project_id == project_id)


@dataclass(frozen=True)
class Wanted:
    """Which models a list shows; what is None does not matter."""

    job: str | None = None
    arm: str | None = None
    name: str | None = None
    version: int | None = None
    alias: str | None = None


def page_of(session: Session, project_id: str, page: Page, wanted: Wanted) -> tuple[Sequence[Model], bool]:
    """One page of the project's models, newest first, and whether there are more."""
    statement = select(Model).where(Model.project_id == project_id)
    if wanted.job is not None:
        statement = statement.where(Model.job_facts["id"].astext == wanted.job)
    if wanted.arm is not None:
        statement = statement.where(Model.arm == wanted.arm)
    if wanted.name is not None:
        statement = statement.where(Model.name == wanted.name)
    if wanted.version is not None:
        statement = statement.where(Model.version == wanted.version)
    if wanted.alias is not None:
        held = select(ModelAlias.model_id).where(ModelAlias.alias == wanted.alias)
        statement = statement.where(Model.id.in_(held))
    return paginate(session, statement, Model.id, page)


def aliases_of(session: Session, models: Sequence[Model]) -> Mapping[str, list[str]]:
    """The aliases that point at these models, by model id."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    statement = select(ModelAlias.model_id, ModelAlias.alias).where(
        ModelAlias.model_id.in_([model.id for model in models])
    )
    for model_id, alias in session.execute(statement.order_by(ModelAlias.alias)):
        found[model_id].append(alias)
    return found


def forgets_of(session: Session, models: Sequence[Model]) -> Mapping[str, list[DatasetForget]]:
    """What the data sets of these models had to forget since, by model id, oldest first."""
    datasets = {model.id: model.dataset_facts["id"] for model in models}
    statement = select(DatasetForget).where(DatasetForget.dataset_id.in_(set(datasets.values())))
    by_dataset: defaultdict[str, list[DatasetForget]] = defaultdict(list)
    for forget in session.execute(statement.order_by(DatasetForget.created_at)).scalars():
        by_dataset[forget.dataset_id].append(forget)
    return {model_id: by_dataset[dataset_id] for model_id, dataset_id in datasets.items()}


def file_blobs(session: Session, model_id: str) -> dict[str, str]:
    """The blobs of a model's files, by path; {} when there is no such model."""
    rows = session.execute(select(ModelFile.path, ModelFile.blob_id).where(ModelFile.model_id == model_id))
    return {row.path: row.blob_id for row in rows}


def files_of(session: Session, models: Sequence[Model]) -> Mapping[str, list[ModelFile]]:
    """The files of these models, by model id."""
    found: defaultdict[str, list[ModelFile]] = defaultdict(list)
    statement = select(ModelFile).where(ModelFile.model_id.in_([model.id for model in models]))
    for file in session.execute(statement.order_by(ModelFile.path)).scalars():
        found[file.model_id].append(file)
    return found
