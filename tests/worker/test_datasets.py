"""Reading data sets as the light worker does: real files, a real database, real readers."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

import worker.dataset_content
import worker.datasets
from app.config import Settings
from app.datasets.compressed_files import zstd
from app.datasets.validation import claim_validation, recover_validating
from app.db.models.blob import Blob
from app.db.models.dataset import Dataset
from app.db.session import Database
from app.storage.database import DatabaseBlobStore
from tests.factories import CSV, RecordingSender, age, make_dataset
from tests.waiting import wait_until
from worker.datasets import validate_dataset
from worker.resources import Resources
from worker.training.data.readers.read import ReadOptions, ReadResult, read_interactions


@pytest.fixture
def resources(database_url: str) -> Iterator[Resources]:
    settings = Settings(database_url=database_url, max_rows=1000, max_decompressed_bytes=100_000)
    database = Database(settings.database, sender=RecordingSender())
    yield Resources(settings, database, DatabaseBlobStore(database.engine))
    database.dispose()


def _add(resources: Resources, data: bytes, **columns: str) -> str:
    with resources.database.unit_of_work() as session:
        dataset = make_dataset(session, resources.blobs, data=data)
        dataset.options = dict(columns)
        return dataset.id


def _validate(dataset_id: str, *, resources: Resources, stopping: threading.Event | None = None) -> None:
    validate_dataset(dataset_id, resources=resources, stopping=stopping or threading.Event())


def _get(resources: Resources, dataset_id: str) -> Dataset:
    with resources.database.unit_of_work() as session:
        return session.get_one(Dataset, dataset_id)


@pytest.mark.parametrize("data", [CSV, gzip.compress(CSV), zstd.compress(CSV)], ids=["plain", "gzip", "zstd"])
def test_a_good_file_is_ready(resources: Resources, tmp_path: Path, data: bytes) -> None:
    dataset_id = _add(resources, data, user_column="user_id")
    _validate(dataset_id, resources=resources)
    dataset = _get(resources, dataset_id)
    assert (dataset.status, dataset.format, dataset.attempts) == ("ready", "csv", 1)
    assert dataset.columns is not None
    assert (dataset.columns["user"], dataset.columns["item"]) == ("user_id", "item_id")
    assert dataset.stats is not None
    assert (dataset.stats["users"], dataset.stats["items"], dataset.stats["interactions"]) == (6, 7, 30)
    assert dataset.canonical_blob is not None
    canonical = tmp_path / "interactions.parquet"
    canonical.write_bytes(b"".join(resources.blobs.read(dataset.canonical_blob)))
    frame = pl.read_parquet(canonical)
    assert frame.columns == ["user", "item", "timestamp"]
    assert frame.height == 30
    assert frame["timestamp"].is_sorted()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (CSV + b"u1,,1700000000\n", "missing_id"),
        (b"colour,weight\nred,1\ngreen,2\nblue,3\n", "missing_columns"),
        (CSV + b"u1,i1,1700000000\n" * 2000, "too_many_rows"),
    ],
)
def test_a_bad_file_is_rejected_with_its_problems(resources: Resources, data: bytes, code: str) -> None:
    dataset_id = _add(resources, data)
    _validate(dataset_id, resources=resources)
    dataset = _get(resources, dataset_id)
    assert dataset.status == "rejected"
    problems = [problem for problem in dataset.problems if problem["severity"] == "error"]
    assert {problem["code"] for problem in problems} == {code}
    assert all(problem["hint"] and problem["message"] and problem["pointer"] for problem in problems)
    assert dataset.canonical_blob is None


def test_running_it_again_changes_nothing(resources: Resources) -> None:
    dataset_id = _add(resources, CSV)
    _validate(dataset_id, resources=resources)
    before = _get(resources, dataset_id)
    _validate(dataset_id, resources=resources)
    after = _get(resources, dataset_id)
    assert (after.attempts, after.canonical_blob) == (before.attempts, before.canonical_blob)
    _validate("ds_unknown", resources=resources)


def test_deleted_while_it_was_read(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset_id = _add(resources, CSV)

    def read(path: Path, options: ReadOptions, **given: Any) -> ReadResult:
        with resources.database.unit_of_work() as session:
            session.delete(session.get_one(Dataset, dataset_id))
        return read_interactions(path, options, **given)

    monkeypatch.setattr(worker.dataset_content, "read_interactions", read)
    _validate(dataset_id, resources=resources)
    with resources.database.unit_of_work() as session:
        incomplete = select(func.count()).select_from(Blob).where(Blob.sha256.is_(None))
        assert session.execute(incomplete).scalar_one() == 0  # the canonical blob went with it


def test_a_reader_that_dies_leaves_it_for_another(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = _add(resources, CSV)

    def die(path: Path, options: ReadOptions, **given: Any) -> ReadResult:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(worker.dataset_content, "read_interactions", die)
        with pytest.raises(MemoryError):
            _validate(dataset_id, resources=resources)
    with resources.database.unit_of_work() as session:
        age(session, session.get_one(Dataset, dataset_id), 1)
    with resources.database.unit_of_work() as session:
        assert recover_validating(session, resources.settings) == 1
    _validate(dataset_id, resources=resources)
    assert (_get(resources, dataset_id).status, _get(resources, dataset_id).attempts) == ("ready", 2)


def test_a_fault_of_the_reader_is_told_at_once(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset_id = _add(resources, CSV)

    def fail(path: Path, options: ReadOptions, **given: Any) -> ReadResult:
        raise pl.exceptions.PanicException("as polars raises it: no Exception")

    monkeypatch.setattr(worker.dataset_content, "read_interactions", fail)
    _validate(dataset_id, resources=resources)
    dataset = _get(resources, dataset_id)
    assert dataset.status == "rejected"
    assert [problem["code"] for problem in dataset.problems] == ["reader_failed"]


def test_a_database_that_stays_away_rejects_nothing(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = _add(resources, CSV)

    def cut(_: DatabaseBlobStore, blob_id: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        cut = psycopg.OperationalError("terminating connection due to administrator command")
        raise OperationalError(f"a chunk of {blob_id}", None, cut)

    with monkeypatch.context() as patch:
        patch.setattr(DatabaseBlobStore, "read", cut)
        patch.setattr("worker.durably._PAUSES", ())
        with pytest.raises(OperationalError):
            _validate(dataset_id, resources=resources)
    waits = _get(resources, dataset_id)
    assert (waits.status, waits.problems) == ("validating", [])


def test_the_claim_is_kept_alive_while_reading_takes_long(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = replace(resources, settings=resources.settings.model_copy(update={"lease_seconds": 6.0}))
    dataset_id = _add(resources, CSV)
    taken: list[object] = []

    def read(path: Path, options: ReadOptions, **given: Any) -> ReadResult:
        began = _get(resources, dataset_id).lease_until
        wait_until(lambda: _get(resources, dataset_id).lease_until != began)
        with resources.database.unit_of_work() as session:
            taken.append(recover_validating(session, quick.settings))
            taken.append(claim_validation(session, dataset_id, lease_seconds=1))
        return read_interactions(path, options, **given)

    monkeypatch.setattr(worker.dataset_content, "read_interactions", read)
    _validate(dataset_id, resources=quick)
    assert taken == [0, None]
    assert _get(resources, dataset_id).status == "ready"


def test_a_worker_that_leaves_gives_it_back_and_loses_no_attempt(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.datasets, "NOTICED_SECONDS", 0.01)
    dataset_id, stopping = _add(resources, CSV), threading.Event()

    def read(path: Path, options: ReadOptions, **given: Any) -> ReadResult:
        stopping.set()
        wait_until(lambda: _get(resources, dataset_id).lease_until is None)
        return read_interactions(path, options, **given)

    with monkeypatch.context() as patch:
        patch.setattr(worker.dataset_content, "read_interactions", read)
        for _ in range(resources.settings.max_attempts + 1):
            _validate(dataset_id, resources=resources, stopping=stopping)
    waits = _get(resources, dataset_id)
    assert (waits.status, waits.attempts_lost, waits.canonical_blob) == ("validating", 0, None)
    _validate(dataset_id, resources=resources)
    assert _get(resources, dataset_id).status == "ready"


def test_a_file_over_the_projects_rows_is_rejected_and_leaves_no_copy(resources: Resources) -> None:
    limited = replace(resources, settings=resources.settings.model_copy(update={"quota_rows": 50}))
    first, second = _add(resources, CSV), _add(resources, CSV)
    _validate(first, resources=limited)
    _validate(second, resources=limited)
    assert _get(resources, first).status == "ready"
    rejected = _get(resources, second)
    assert (rejected.status, rejected.canonical_blob) == ("rejected", None)
    (problem,) = rejected.problems
    assert problem["code"] == "quota_exceeded"
    assert problem["message"] == "This needs 30 more rows; the project has 30 of 50."
    with resources.database.unit_of_work() as session:
        assert session.execute(select(func.count()).select_from(Blob)).scalar_one() == 3
