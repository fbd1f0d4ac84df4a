"""Names of models, their versions, and references to them: `films@3`, `films@production`, `films@latest`."""

from __future__ import annotations

import re

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.db.models.model import Model
from app.db.models.model_alias import ModelAlias
from app.db.models.model_name import ModelName

LATEST = "latest"
"""Means the greatest version of a name in a reference, so no alias may be called so."""

_UNUSABLE = re.compile(r"[/@\x00-\x1f]+")


def usable_name(text: str) -> str:
    """A name made out of any text: what would break a path or a reference becomes a hyphen."""
    return _UNUSABLE.sub("-", text).strip() or "model"


def next_version(session: Session, project_id: str, name: str) -> int:
    """Count one more version of a name; holds the name until the transaction ends."""
    statement = insert(ModelName).values(project_id=project_id, name=name, last_version=1)
    counted: int = session.execute(
        statement.on_conflict_do_update(
            index_elements=["project_id", "name"], set_={"last_version": ModelName.last_version + 1}
        ).returning(ModelName.last_version)
    ).scalar_one()
    return counted


def hold_name(session: Session, project_id: str, name: str) -> bool:
    """Hold a name against every other move of its aliases; False when no model was ever called so."""
    statement = select(ModelName).where(ModelName.project_id == project_id, ModelName.name == name)
    return session.execute(statement.with_for_update()).scalar_one_or_none() is not None


def resolve(session: Session, project_id: str, reference: str) -> str | None:
    """Id of the model that `name@version`, `name@alias` or `name@latest` means; None when there is none."""
    name, _, which = reference.rpartition("@")
    named = select(Model.id).where(Model.project_id == project_id, Model.name == name)
    if which == LATEST:
        statement = named.order_by(Model.version.desc()).limit(1)
    elif re.fullmatch(r"[0-9]{1,9}", which):
        statement = named.where(Model.version == int(which))
    else:
        statement = named.join(ModelAlias, ModelAlias.model_id == Model.id).where(ModelAlias.alias == which)
    return session.execute(statement).scalar_one_or_none()
