"""What every blob store promises, run over each of them."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.session import Database
from app.errors import BlobDamagedError
from app.storage.blobs import CHUNK_BYTES, BlobInfo, BlobStore
from app.storage.database import DatabaseBlobStore
from tests.app.storage.memory import MemoryBlobStore

DATA = hashlib.shake_128(b"contract").digest(2 * CHUNK_BYTES + 12_345)


@pytest.fixture(params=["memory", "database"])
def store(request: pytest.FixtureRequest, database: Database) -> BlobStore:
    return MemoryBlobStore() if request.param == "memory" else DatabaseBlobStore(database.engine)


def _put(store: BlobStore, database: Database, data: bytes, content_type: str = "text/csv") -> BlobInfo:
    with database.unit_of_work() as session:
        return store.put(session, data, content_type)


def test_what_goes_in_comes_out(store: BlobStore, database: Database) -> None:
    writer = store.open_writer("text/csv")
    for start in range(0, len(DATA), 300_001):
        writer.write(DATA[start : start + 300_001])
    with database.unit_of_work() as session:
        info = writer.finish(session)
    assert info == BlobInfo(writer.blob_id, len(DATA), hashlib.sha256(DATA).hexdigest(), "text/csv")
    assert store.info(info.id) == info
    pieces = list(store.read(info.id))
    assert b"".join(pieces) == DATA
    assert max(map(len, pieces)) <= CHUNK_BYTES
    store.verify(info.id)


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, 0),
        (0, 1),
        (CHUNK_BYTES - 1, CHUNK_BYTES + 1),
        (CHUNK_BYTES, 2 * CHUNK_BYTES),
        (5, None),
        (len(DATA) - 1, len(DATA) + 99),
        (len(DATA), None),
    ],
)
def test_ranges(store: BlobStore, database: Database, start: int, stop: int | None) -> None:
    info = _put(store, database, DATA)
    assert b"".join(store.read(info.id, start, stop)) == DATA[start:stop]


def test_an_empty_blob(store: BlobStore, database: Database) -> None:
    info = _put(store, database, b"")
    assert info.size == 0
    assert b"".join(store.read(info.id)) == b""
    store.verify(info.id)


def test_not_there_before_finish(store: BlobStore) -> None:
    writer = store.open_writer()
    writer.write(DATA)
    with pytest.raises(BlobDamagedError):
        store.info(writer.blob_id)
    with pytest.raises(BlobDamagedError):
        next(store.read(writer.blob_id))
    writer.abort()
    writer.abort()
    assert store.sweep(timedelta(0)) == 0


def test_verify_before_the_commit(store: BlobStore, session: Session) -> None:
    info = store.put(session, DATA)
    store.verify(info.id, info)
    wrong = BlobInfo(info.id, info.size, "0" * 64, info.content_type)
    with pytest.raises(BlobDamagedError):
        store.verify(info.id, wrong)


def test_delete_says_how_many_bytes(store: BlobStore, database: Database) -> None:
    first, second = _put(store, database, DATA), _put(store, database, b"abc")
    with database.unit_of_work() as session:
        assert store.delete(session, first.id, second.id, "blob_unknown") == len(DATA) + 3
    with pytest.raises(BlobDamagedError):
        store.info(first.id)


def test_join_makes_one_of_several(store: BlobStore, database: Database) -> None:
    bounds = [(0, CHUNK_BYTES), (CHUNK_BYTES, 2 * CHUNK_BYTES), (2 * CHUNK_BYTES, len(DATA))]
    parts = [_put(store, database, DATA[start:stop]).id for start, stop in bounds]
    with database.unit_of_work() as session:
        info = store.join(session, parts, hashlib.sha256(DATA).hexdigest(), "text/csv")
    assert store.info(info.id) == info
    assert (info.size, info.content_type) == (len(DATA), "text/csv")
    store.verify(info.id)
    assert (
        b"".join(store.read(info.id, CHUNK_BYTES - 1, 2 * CHUNK_BYTES + 1))
        == DATA[CHUNK_BYTES - 1 : 2 * CHUNK_BYTES + 1]
    )
    for part in parts:
        with pytest.raises(BlobDamagedError):
            store.info(part)


def test_join_refuses_what_does_not_fit(store: BlobStore, database: Database) -> None:
    uneven, whole = _put(store, database, b"abc"), _put(store, database, DATA[:CHUNK_BYTES])
    with pytest.raises(ValueError, match=r"uneven|within a chunk"), database.unit_of_work() as session:
        store.join(session, [uneven.id, whole.id], "0" * 64)
    with pytest.raises(BlobDamagedError), database.unit_of_work() as session:
        store.join(session, [whole.id, "blob_unknown"], "0" * 64)
    assert b"".join(store.read(uneven.id)) == b"abc"


def test_sweep_takes_only_what_was_left(store: BlobStore, database: Database) -> None:
    kept = _put(store, database, b"abc")
    store.open_writer().write(DATA)
    assert store.sweep(timedelta(hours=1)) == 0
    assert store.sweep(timedelta(0)) == 1
    assert b"".join(store.read(kept.id)) == b"abc"


def test_finish_after_a_sweep_is_an_error(store: BlobStore, session: Session) -> None:
    writer = store.open_writer()
    writer.write(b"abc")
    store.sweep(timedelta(0))
    with pytest.raises((BlobDamagedError, IntegrityError)):
        writer.finish(session)
