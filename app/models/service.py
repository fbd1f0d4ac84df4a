"""What can be done with models."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.db.models.model import Model
from app.db.models.model_file import ModelFile
from app.errors import NotFoundError
from app.models import queries
from app.models.deleting import forget_batches, refuse_aliased, refuse_used
from app.models.loaded import LoadedModels
from app.models.names import hold_name, next_version
from app.models.schemas import ModelObject
from app.pagination import Page
from app.storage.blobs import BlobStore


def get(session: Session, project_id: str, model_id: str) -> Model:
    """One model, by its id or as `name@version`, `name@alias`. NotFoundError (`model_not_found`)."""
    model = queries.find(session, project_id, model_id)
    if model is None:
        raise NotFoundError.of("model", model_id)
    return model


def list_page(
    session: Session, project_id: str, page: Page, wanted: queries.Wanted
) -> tuple[Sequence[Model], bool]:
    """One page of the project's models, newest first, and whether there are more."""
    return queries.page_of(session, project_id, page, wanted)


def rename(session: Session, project_id: str, model_id: str, name: str) -> Model:
    """Register a model under another name, as that name's next version.

    Raises:
        NotFoundError: The project has no such model.
        InUseError: Aliases point at it (`model_in_use`, the aliases in `used_by`).

    """
    hold_name(session, project_id, name)  # before the model, as who moves an alias does: no deadlock
    model = _held(session, project_id, model_id)
    if model.name != name:
        refuse_aliased(session, [model], hint="Let the aliases point at another version first.")
        model.version = next_version(session, project_id, name)
        model.name = name
        session.flush()
    return model


def shown(session: Session, models: Sequence[Model]) -> list[ModelObject]:
    """These models as clients see them, each with its files and aliases."""
    files, aliases = queries.files_of(session, models), queries.aliases_of(session, models)
    forgets = queries.forgets_of(session, models)
    return [ModelObject.of(model, files[model.id], aliases[model.id], forgets[model.id]) for model in models]


def file(session: Session, project_id: str, model_id: str, path: str) -> ModelFile:
    """One file of a model. NotFoundError when there is no such model (or file: `model_file_not_found`)."""
    model = get(session, project_id, model_id)
    for found in queries.files_of(session, [model])[model.id]:
        if found.path == path:
            return found
    raise NotFoundError(
        f"Model {model_id} has no file {path!r}.",
        code="model_file_not_found",
        hint=f"GET /v1/models/{model_id} lists its files.",
        pointer="path:path",
    )


def delete(session: Session, blobs: BlobStore, loaded: LoadedModels, project_id: str, model_id: str) -> int:
    """Delete a model, its files and its batches of recommendations; returns how many bytes that freed.

    Raises:
        NotFoundError: The project has no such model.
        InUseError: Aliases point at it, or what has not ended uses it (`model_in_use`, with `used_by`).

    """
    model = _held(session, project_id, model_id)
    refuse_used(session, [model])
    stored = [found.blob_id for found in queries.files_of(session, [model])[model.id]]
    stored += forget_batches(session, [model.id])
    session.delete(model)
    session.flush()
    loaded.forget(model.id)
    return blobs.delete(session, *stored)


def _held(session: Session, project_id: str, model_id: str) -> Model:
    model = queries.find(session, project_id, model_id, lock=True)
    if model is None:
        raise NotFoundError.of("model", model_id)
    return model
