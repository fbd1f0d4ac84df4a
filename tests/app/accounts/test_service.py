from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.accounts import service
from app.errors import NotFoundError, Unauthorized


def test_a_key_is_shown_once_and_kept_as_hash(session: Session) -> None:
    key, secret = service.create_key(session, name="laptop")
    assert secret.startswith("sr_")
    assert len(secret) > 40
    assert key.secret_sha256 == hashlib.sha256(secret.encode()).digest()
    stored = session.execute(text("SELECT api_keys::text FROM api_keys")).scalar_one()
    assert secret not in stored
    assert service.authenticate(session, secret) == service.Principal(key.project_id, key.id)


def test_keys_belong_to_projects(session: Session) -> None:
    first, _ = service.create_key(session, name="a")
    second, _ = service.create_key(session, name="b", project="other")
    third, _ = service.create_key(session, name="c")
    assert first.project_id == third.project_id != second.project_id
    assert [key.id for key in service.list_keys(session)] == [third.id, second.id, first.id]
    assert [key.id for key in service.list_keys(session, project="other")] == [second.id]


def test_a_revoked_key_opens_nothing(session: Session) -> None:
    key, secret = service.create_key(session, name="a")
    revoked_at = service.revoke_key(session, key.id).revoked_at
    assert revoked_at is not None
    with pytest.raises(Unauthorized, match="revoked"):
        service.authenticate(session, secret)
    assert service.revoke_key(session, key.id).revoked_at == revoked_at
    assert service.list_keys(session)[0].id == key.id


@pytest.mark.parametrize("secret", ["", "sr_", "sr_nothing", "x" * 5000, "sr_ü"])
def test_an_unknown_key(session: Session, secret: str) -> None:
    with pytest.raises(Unauthorized, match="not known"):
        service.authenticate(session, secret)


def test_revoking_what_is_not_there(session: Session) -> None:
    with pytest.raises(NotFoundError) as raised:
        service.revoke_key(session, "key_none")
    assert raised.value.code == "api_key_not_found"


def test_last_use_is_noted_once_a_minute(session: Session) -> None:
    key, secret = service.create_key(session, name="a")
    _, other = service.create_key(session, name="b")
    principal = service.authenticate(session, secret)
    assert principal.use_to_note
    service.note_use(session, principal)
    session.refresh(key)
    assert key.last_used_at is not None
    assert not service.authenticate(session, secret).use_to_note
    assert service.authenticate(session, other).use_to_note
    key.last_used_at -= timedelta(seconds=61)
    assert service.authenticate(session, secret).use_to_note
