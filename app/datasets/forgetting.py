"""Users who are to be forgotten: named by salted hashes only, and whom their removal concerns.

Until the light worker has left them out, the row holds a random salt and the hashes; then neither. What stays
is how many there were, and which data sets held them.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.datasets import queries
from app.db.models.dataset import Dataset
from app.db.models.dataset_forget import DatasetForget
from app.storage.blobs import BlobStore

FORGET = "forget"
"""The name of the transform in a lineage."""


def hash_user(salt: bytes, user: str) -> str:
    """The salted hash by which one user is named."""
    return hashlib.sha256(salt + user.encode("utf-8", "surrogatepass")).hexdigest()


def order_to_forget(users: Sequence[str], *, delete_parent: bool) -> dict[str, Any]:
    """What the row holds of the users until they are left out; the hashes in the order of the users."""
    salt = secrets.token_bytes(32)
    return {
        "salt": salt.hex(),
        "hashes": [hash_user(salt, user) for user in users],
        "delete_parent": delete_parent,
    }


def record(session: Session, project_id: str, *, parent: str, made: str, users: int) -> None:
    """Note that every data set of the same origin held, or may have held, users whom `made` has not."""
    for dataset_id in _same_origin(session, project_id, parent) - {made}:
        statement = insert(DatasetForget).values(
            dataset_id=dataset_id, made_dataset_id=made, project_id=project_id, users=users
        )
        session.execute(statement.on_conflict_do_nothing())


def is_needed(session: Session, project_id: str, dataset_id: str, *, made: str) -> bool:
    """Whether the data set has to stay when `made` replaces it; it is held till the transaction ends."""
    parent = queries.find(session, project_id, dataset_id, lock=True)
    return parent is not None and _is_in_use(session, dataset_id, made=made)


def delete_earlier(
    session: Session, blobs: BlobStore, project_id: str, *, parent: str, made: str
) -> dict[str, list[str]]:
    """Delete the data set and those that it was made of; says which, and which are still in use and stay."""
    told: dict[str, list[str]] = {"deleted": [], "kept_in_use": []}
    for dataset_id in _with_ancestors(session, project_id, parent):
        dataset = queries.find(session, project_id, dataset_id, lock=True)
        if dataset is None:
            continue
        if _is_in_use(session, dataset_id, made=made):
            told["kept_in_use"].append(dataset_id)
            continue
        remove(session, blobs, dataset)
        told["deleted"].append(dataset_id)
    return told


def remove(session: Session, blobs: BlobStore, dataset: Dataset) -> int:
    """Delete a row that is held, with its bytes; returns how many those were."""
    stored = {blob for blob in (dataset.original_blob, dataset.canonical_blob) if blob is not None}
    session.delete(dataset)
    session.flush()
    return blobs.delete(session, *stored)


def _is_in_use(session: Session, dataset_id: str, *, made: str) -> bool:
    """Whether anything still needs the data set but the one that is to replace it."""
    return bool(set(queries.users_of(session, dataset_id)) - {made})


def _with_ancestors(session: Session, project_id: str, dataset_id: str) -> list[str]:
    """The data set and those that it was made of, one after the other; the last may be gone."""
    chain = [dataset_id]
    while (found := queries.find(session, project_id, chain[-1])) is not None and found.lineage:
        chain.append(str(found.lineage["parent"]))
    return chain


def _same_origin(session: Session, project_id: str, dataset_id: str) -> set[str]:
    """Every data set that was made of the same one, by whatever steps, and that one."""
    chain = _with_ancestors(session, project_id, dataset_id)
    known, newest = set(chain), set(chain)
    while newest:
        made_of = select(Dataset.id).where(
            Dataset.project_id == project_id, Dataset.lineage["parent"].astext.in_(newest)
        )
        newest = set(session.execute(made_of).scalars()) - known
        known |= newest
    return known
