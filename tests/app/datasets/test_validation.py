"""Claim, lease, fencing and recovery of data sets that are being read."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from app.config import Settings
from app.datasets.validation import (
    Claim,
    Reading,
    accept,
    claim_validation,
    recover_validating,
    reject,
    release,
    renew,
)
from app.db.models.dataset import Dataset
from app.db.session import pending_messages
from app.db.takes import note_take_error, take
from app.storage.database import DatabaseBlobStore
from tests.factories import age, make_dataset, make_ready_dataset

SETTINGS = Settings(resend_after_seconds=30, max_attempts=2)
READING = Reading(format="csv", columns={"user": "u"}, stats={"users": 1}, problems=[])
PROBLEM = {"code": "missing_user", "message": "no user", "pointer": "/lines/2", "severity": "error"}


@pytest.fixture
def dataset(session: Session, blobs: DatabaseBlobStore) -> Dataset:
    return make_dataset(session, blobs)


def _claim(session: Session, dataset: Dataset) -> Claim:
    claim = claim_validation(session, dataset.id, lease_seconds=10)
    assert claim is not None
    session.refresh(dataset)
    return claim


def test_one_claim_at_a_time(session: Session, dataset: Dataset) -> None:
    claim = _claim(session, dataset)
    assert (claim.attempt, claim.original_blob, claim.filename) == (1, dataset.original_blob, "log.csv")
    assert claim_validation(session, dataset.id, lease_seconds=10) is None
    assert claim_validation(session, "ds_unknown", lease_seconds=10) is None
    assert renew(session, claim, lease_seconds=10)


def test_accepted_for_good(session: Session, dataset: Dataset, blobs: DatabaseBlobStore) -> None:
    claim = _claim(session, dataset)
    canonical = blobs.put(session, b"PAR1").id
    assert accept(session, claim, READING, canonical)
    session.refresh(dataset)
    assert (dataset.status, dataset.canonical_blob, dataset.lease_until) == ("ready", canonical, None)
    assert dataset.validated_at is not None
    assert not accept(session, claim, READING, canonical)
    assert not reject(session, claim, [PROBLEM])
    assert claim_validation(session, dataset.id, lease_seconds=10) is None


def test_rejected_with_its_problems(session: Session, dataset: Dataset) -> None:
    assert reject(session, _claim(session, dataset), [PROBLEM])
    session.refresh(dataset)
    assert (dataset.status, dataset.problems) == ("rejected", [PROBLEM])


def test_an_older_attempt_changes_nothing(session: Session, dataset: Dataset) -> None:
    old = _claim(session, dataset)
    age(session, dataset, 60)
    assert recover_validating(session, SETTINGS) == 1
    assert not renew(session, old, lease_seconds=10)
    assert not reject(session, old, [PROBLEM])
    assert _claim(session, dataset).attempt == 2
    assert not reject(session, old, [PROBLEM])
    assert not renew(session, old, lease_seconds=10)


def test_recovery_leaves_the_fresh_alone(
    session: Session, dataset: Dataset, blobs: DatabaseBlobStore
) -> None:
    make_ready_dataset(session, blobs)
    age(session, dataset, 29)
    assert recover_validating(session, SETTINGS) == 0
    _claim(session, dataset)
    assert recover_validating(session, SETTINGS) == 0
    assert pending_messages(session) == []


def test_a_lost_wake_up_is_sent_again_once(session: Session, dataset: Dataset) -> None:
    age(session, dataset, 31)
    assert recover_validating(session, SETTINGS) == 1
    assert recover_validating(session, SETTINGS) == 0
    assert [message.args for message in pending_messages(session)] == [(dataset.id,)]


def test_given_back_as_often_as_workers_leave(session: Session, dataset: Dataset) -> None:
    for _ in range(SETTINGS.max_attempts + 1):
        claim = _claim(session, dataset)
        assert release(session, claim)
        assert not release(session, claim)
        assert not renew(session, claim, lease_seconds=10)
        assert not reject(session, claim, [PROBLEM])
        assert pending_messages(session)[-1].args == (dataset.id,)
        age(session, dataset, 31)
        assert recover_validating(session, SETTINGS) == 1
        session.flush()
    assert len(pending_messages(session)) == 2 * (SETTINGS.max_attempts + 1)
    claim = _claim(session, dataset)
    assert (dataset.status, dataset.attempts_lost, claim.attempt) == ("validating", 0, 4)


def test_given_up_after_the_last_attempt(session: Session, dataset: Dataset) -> None:
    for _ in range(SETTINGS.max_attempts):
        _claim(session, dataset)
        age(session, dataset, 1)
        assert recover_validating(session, SETTINGS) == 1
        session.flush()
    assert dataset.status == "rejected"
    assert [problem["code"] for problem in dataset.problems] == ["reader_lost"]
    assert dataset.problems[0]["hint"]
    assert len(pending_messages(session)) == SETTINGS.max_attempts - 1


def test_rejected_when_no_worker_can_begin_to_read_it(session: Session, dataset: Dataset) -> None:
    for tried in range(SETTINGS.max_attempts):
        assert (dataset.status, dataset.takes) == ("validating", tried)
        take(session, Dataset, dataset.id)
        note_take_error(session, Dataset, dataset.id, "ImportError: polars")
        session.refresh(dataset)
        age(session, dataset, 31)
        assert recover_validating(session, SETTINGS) == 1
        session.flush()
    assert (dataset.status, dataset.attempts_lost) == ("rejected", 0)
    (problem,) = dataset.problems
    assert (problem["code"], problem["severity"]) == ("worker_cannot_begin", "error")
    assert "ImportError: polars" in problem["message"]


def test_what_went_wrong_before_a_claim_is_forgotten_with_it(session: Session, dataset: Dataset) -> None:
    take(session, Dataset, dataset.id)
    note_take_error(session, Dataset, dataset.id, "ImportError: polars")
    _claim(session, dataset)
    take(session, Dataset, dataset.id)  # a second message, too late
    session.refresh(dataset)
    assert (dataset.takes, dataset.take_error) == (0, None)
