"""Answers kept for requests that are sent twice (`Idempotency-Key`).

The first request holds an advisory lock until its transaction ends, and its answer is written in that same
transaction: either effect and answer are both there, or neither is. A process that dies lets go of the lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.accounts.service import Principal
from app.db.models.kept_answer import KeptAnswer
from app.errors import ConflictError, ValidationFailed

KEPT_FOR = timedelta(hours=24)
_RETRY_AFTER = "1"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def request_id(caller: Principal, path: str, key: str) -> bytes:
    """What identifies a request that may be repeated: who sends it, where to, and its key; 32 bytes."""
    parts = (caller.key_id or caller.project_id, path, key)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


def begin(session: Session, request: bytes, fingerprint: bytes) -> Answer | None:
    """Take the request for this transaction; the answer if an earlier one was given, else None.

    Raises:
        ConflictError: The first one is still running (`idempotency_in_progress`).
        ValidationFailed: The key was used for another query or body (`idempotency_key_reused`).

    """
    number = int.from_bytes(request[:8], "big", signed=True)
    if not session.execute(select(func.pg_try_advisory_xact_lock(number))).scalar_one():
        raise ConflictError(
            "A request with this Idempotency-Key is still running.",
            code="idempotency_in_progress",
            retryable=True,
            hint="Send it again in a moment.",
            headers={"Retry-After": _RETRY_AFTER},
        )
    found = session.execute(
        select(KeptAnswer).where(KeptAnswer.id == request, KeptAnswer.created_at > func.now() - KEPT_FOR)
    ).scalar_one_or_none()
    if found is None:
        return None
    if found.fingerprint != fingerprint:
        raise ValidationFailed(
            "This Idempotency-Key was used for another request.",
            code="idempotency_key_reused",
            hint="Make a new key for every new request; use one again only to repeat the very same.",
        )
    return Answer(found.status, found.headers, found.body)


def is_kept(session: Session, request: bytes) -> bool:
    """Whether there is an answer to a request with this id; holds nothing."""
    kept = select(KeptAnswer.id).where(
        KeptAnswer.id == request, KeptAnswer.created_at > func.now() - KEPT_FOR
    )
    return session.execute(kept).scalar_one_or_none() is not None


def keep(session: Session, project_id: str, request: bytes, fingerprint: bytes, answer: Answer) -> None:
    """Keep the answer in the transaction that `begin` was called in."""
    session.execute(delete(KeptAnswer).where(KeptAnswer.id == request))  # one too old, not swept yet
    session.add(
        KeptAnswer(
            id=request,
            project_id=project_id,
            fingerprint=fingerprint,
            status=answer.status,
            headers=dict(answer.headers),
            body=answer.body,
        )
    )
    session.flush()


def forget_old(session: Session) -> None:
    """Remove the answers that were kept for their time."""
    session.execute(delete(KeptAnswer).where(KeptAnswer.created_at < func.now() - KEPT_FOR))
