"""API keys: made, listed, revoked, and checked. A secret is shown once and kept as its SHA-256.

A key is 32 random bytes, so a slow password hash would cost time and protect nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.accounts.scopes import Scope, allowed
from app.db.ids import new_id
from app.db.models.api_key import ApiKey
from app.db.models.project import DEFAULT_PROJECT, Project
from app.db.session import Reader
from app.errors import ErrorItem, Forbidden, NotFoundError, Unauthorized, ValidationFailed
from app.pagination import Page, paginate

KEY_PREFIX = "sr_"
_HINT_LENGTH = 7
_LAST_USED_STEP = timedelta(minutes=1)


@dataclass(frozen=True)
class Principal:
    """Who calls: the project whose rows are seen, and the key; no key where the service requires none.

    use_to_note: whether the key's row does not say yet that it was used in this minute.
    """

    project_id: str
    key_id: str | None = None
    scopes: frozenset[str] = frozenset({Scope.ADMIN})
    use_to_note: bool = field(default=False, compare=False)


def create_key(
    session: Session,
    *,
    name: str,
    project: str = DEFAULT_PROJECT,
    owner_id: str | None = None,
    scopes: Sequence[str] = (Scope.ADMIN,),
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; returns the row and the secret, shown this once.

    Args:
        session: The transaction.
        name: What it is for.
        project: Name of its project, made too if it is new.
        owner_id: Id of its project, in place of the name.
        scopes: What it may do.
        expires_at: From when on it opens nothing.

    Raises:
        ValidationFailed: `expires_at` has passed already.

    """
    now = session.execute(select(func.now())).scalar_one()
    if expires_at is not None and expires_at <= now:
        item = ErrorItem("/expires_at", "in_the_past", "must be in the future", expires_at.isoformat())
        raise ValidationFailed(f"/expires_at: {item.message}", errors=[item])
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        id=new_id(ApiKey.id_prefix),
        project_id=owner_id or project_id(session, project),
        name=name,
        hint=secret[:_HINT_LENGTH],
        secret_sha256=_digest(secret),
        scopes=sorted({Scope(scope).value for scope in scopes}),
        expires_at=expires_at,
    )
    session.add(key)
    session.flush()
    return key, secret


def keys_page(session: Session, owner_id: str, page: Page) -> tuple[Sequence[ApiKey], bool]:
    """One page of the project's keys, newest first, and whether there are more."""
    return paginate(session, select(ApiKey).where(ApiKey.project_id == owner_id), ApiKey.id, page)


def get_key(session: Session, owner_id: str, key_id: str) -> ApiKey:
    """One key. NotFoundError (`api_key_not_found`) when the project has none with that id."""
    key = session.get(ApiKey, key_id)
    if key is None or key.project_id != owner_id:
        raise NotFoundError.of("api_key", key_id)
    return key


def list_keys(session: Session, *, project: str | None = None) -> Sequence[ApiKey]:
    """Every key, or those of one project, newest first; revoked ones too."""
    statement = select(ApiKey).order_by(ApiKey.id.desc())
    if project is not None:
        statement = statement.join(Project, Project.id == ApiKey.project_id).where(Project.name == project)
    return session.execute(statement).scalars().all()


def revoke_key(session: Session, key_id: str, *, by: Principal | None = None) -> ApiKey:
    """Make a key useless from now on; harmless on a revoked one.

    by: who asks, unless it is the operator at the machine itself. NotFoundError when there is none, or it is
    not that project's; Forbidden when the key may do more than who asks.
    """
    key = session.get(ApiKey, key_id)
    if key is None or (by is not None and by.project_id != key.project_id):
        raise NotFoundError.of("api_key", key_id)
    beyond = [scope for scope in key.scopes if by is not None and not allowed(by.scopes, Scope(scope))]
    if beyond:
        raise Forbidden(beyond[0])
    if key.revoked_at is None:
        key.revoked_at = session.execute(select(func.now())).scalar_one()
    return key


# Every request asks this: made once, one query, and no object of the row.
_KEY_OF_SECRET = select(
    ApiKey.id,
    ApiKey.project_id,
    ApiKey.secret_sha256,
    ApiKey.scopes,
    ApiKey.revoked_at,
    ApiKey.expires_at,
    ApiKey.last_used_at,
    func.now().label("now"),
).where(ApiKey.secret_sha256 == bindparam("digest"))


def authenticate(reader: Reader, secret: str) -> Principal:
    """The principal of a key's secret. Unauthorized when it is not known, was revoked, or has expired."""
    digest = _digest(secret)
    key = reader.execute(_KEY_OF_SECRET, {"digest": digest}).one_or_none()
    if key is None or not hmac.compare_digest(key.secret_sha256, digest):
        raise Unauthorized("This API key is not known.")
    if key.revoked_at is not None:
        raise Unauthorized("This API key was revoked.")
    if key.expires_at is not None and key.expires_at <= key.now:
        raise Unauthorized("This API key has expired.")
    to_note = key.last_used_at is None or key.now - key.last_used_at > _LAST_USED_STEP
    return Principal(key.project_id, key.id, frozenset(key.scopes), use_to_note=to_note)


def note_use(session: Session, principal: Principal) -> None:
    """Write down that the principal's key was used now; not if somebody holds it, to revoke it say."""
    free = select(ApiKey.id).where(ApiKey.id == principal.key_id).with_for_update(skip_locked=True)
    session.execute(update(ApiKey).where(ApiKey.id.in_(free)).values(last_used_at=func.now()))


def project_id(session: Session, name: str = DEFAULT_PROJECT) -> str:
    """Id of the project with that name, made if it is new."""
    found = session.execute(select(Project.id).where(Project.name == name)).scalar_one_or_none()
    if found is not None:
        return found
    session.execute(
        insert(Project)
        .values(id=new_id(Project.id_prefix), name=name)
        .on_conflict_do_nothing(index_elements=["name"])
    )
    return session.execute(select(Project.id).where(Project.name == name)).scalar_one()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
