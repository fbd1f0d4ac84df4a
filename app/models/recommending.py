"""What a stored model recommends. Imports numpy: routes import this where somebody asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from app.db.models.model import Model
from app.errors import ErrorItem, SteadyRankError, ValidationFailed
from app.models import service
from app.models.loaded import LoadedModels
from app.models.queries import file_blobs
from app.models.schemas import RecommendRequest
from app.storage.blobs import BlobStore
from worker.training.portable import (
    ITEMS_FILE,
    MODEL_FILES,
    ModelUnreadableError,
    PortableModel,
    ReplacePositionError,
    UnknownItemsError,
)

_POINTED_AT = 20


def recommend(
    session: Session,
    blobs: BlobStore,
    loaded: LoadedModels,
    *,
    project_id: str,
    model_id: str,
    asked: RecommendRequest,
) -> tuple[Model, list[list[tuple[str, float]]]]:
    """The model that answers, and the best next items, as (item id, score), for each history.

    Raises:
        NotFoundError: The project has no such model.
        ValidationFailed: Items that the model does not know (`unknown_item`), or a position that a history
            does not have (`no_such_position`); `errors` point at each.

    """
    model = service.get(session, project_id, model_id)
    portable = loaded.get(model.id)
    if portable is None:
        with loaded.loading(model.id):
            portable = loaded.get(model.id) or _load(session, blobs, loaded, model)
    replace = {int(position): item for position, item in asked.replace.items()}
    histories = asked.sequences if asked.history is None else [asked.history]
    answers = []
    for number, history in enumerate(histories or ()):
        pointer = "/history" if asked.history is not None else f"/sequences/{number}"
        answers.append(_answer(portable, history, replace, asked, pointer))
    return model, answers


def _load(session: Session, blobs: BlobStore, loaded: LoadedModels, model: Model) -> PortableModel:
    files = file_blobs(session, model.id)
    contents = {path: b"".join(blobs.read(files[path])) for path in MODEL_FILES if path in files}
    try:
        return loaded.load(model.id, contents)
    except ModelUnreadableError as error:
        raise SteadyRankError(
            f"Model {model.id} cannot be loaded: {error}", code="model_unreadable"
        ) from error


def _answer(
    portable: PortableModel,
    history: Sequence[str],
    replace: Mapping[int, str],
    asked: RecommendRequest,
    pointer: str,
) -> list[tuple[str, float]]:
    try:
        return portable.recommend(history, k=asked.k, exclude_seen=asked.exclude_seen, replace=replace)
    except UnknownItemsError as error:
        unknown = set(error.names)
        at = [(f"{pointer}/{i}", item) for i, item in enumerate(history) if item in unknown]
        at += [(f"/replace/{position}", item) for position, item in replace.items() if item in unknown]
        items = [
            ErrorItem(where, "unknown_item", "the model was not trained with this item", item)
            for where, item in at[:_POINTED_AT]
        ]
        raise ValidationFailed(
            f"The model does not know {', '.join(map(repr, error.names[:_POINTED_AT]))}.",
            code="unknown_item",
            errors=items,
            hint=f"The model's {ITEMS_FILE} lists the items that it knows; leave the others out.",
        ) from error
    except ReplacePositionError as error:
        items = [
            ErrorItem(f"/replace/{position}", "no_such_position", str(error), position)
            for position in replace
            if not -len(history) <= position < len(history)
        ]
        raise ValidationFailed(
            f"{pointer} has {len(history)} items: {error}.",
            code="no_such_position",
            errors=items,
            hint="Positions count from 0, or from the end when negative.",
        ) from error
