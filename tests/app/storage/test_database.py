"""What only the database store can suffer: damaged rows, rolled-back callers."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.db.session import Database
from app.errors import BlobDamagedError
from app.storage.blobs import CHUNK_BYTES
from app.storage.database import DatabaseBlobStore
from tests.waiting import wait_for_a_waiting_request

DATA = hashlib.shake_128(b"database").digest(2 * CHUNK_BYTES + 7)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE blob_chunks SET data = set_byte(data, 17, get_byte(data, 17) # 1) WHERE n = 1",
        "UPDATE blob_chunks SET data = substring(data FROM 2) WHERE n = 1",
        "DELETE FROM blob_chunks WHERE n = 1",
    ],
)
def test_damage_is_never_handed_out(database: Database, blobs: DatabaseBlobStore, damage: str) -> None:
    with database.unit_of_work() as session:
        info = blobs.put(session, DATA)
    with database.unit_of_work() as session:
        session.execute(text(damage))
    pieces = blobs.read(info.id)
    assert next(pieces) == DATA[:CHUNK_BYTES]
    with pytest.raises(BlobDamagedError, match="chunk 1"):
        next(pieces)
    with pytest.raises(BlobDamagedError):
        blobs.verify(info.id)


def test_a_connection_that_is_cut_while_a_chunk_is_read_is_a_database_that_is_away(
    database: Database, blobs: DatabaseBlobStore
) -> None:
    with database.unit_of_work() as session:
        info = blobs.put(session, DATA)
    pieces = blobs.read(info.id)
    next(pieces)
    cut = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    with ThreadPoolExecutor(1) as other, database.unit_of_work() as session:
        session.execute(text("LOCK TABLE blob_chunks"))
        read = other.submit(next, pieces)
        wait_for_a_waiting_request(database)
        assert session.execute(cut).scalars().all() == [True]
        with pytest.raises(OperationalError):
            read.result(60)
    blobs.verify(info.id)


def test_swapped_chunks_are_caught_by_the_whole_digest(database: Database, blobs: DatabaseBlobStore) -> None:
    with database.unit_of_work() as session:
        info = blobs.put(session, DATA)
    with database.unit_of_work() as session:
        session.execute(text("UPDATE blob_chunks SET n = n + 10 WHERE n < 2"))
        session.execute(text("UPDATE blob_chunks SET n = 11 - n WHERE n >= 10"))
    with pytest.raises(BlobDamagedError):
        blobs.verify(info.id)


def test_a_rolled_back_caller_leaves_an_unfinished_blob(database: Database, blobs: DatabaseBlobStore) -> None:
    with database.sessions() as session:
        info = blobs.put(session, DATA)
        session.rollback()
    with pytest.raises(BlobDamagedError):
        blobs.info(info.id)
    assert blobs.sweep(timedelta(0)) == 1
    with database.unit_of_work() as session:
        assert session.execute(text("SELECT count(*) FROM blob_chunks")).scalar_one() == 0


def test_abort_does_not_wait_for_a_caller_that_has_finished(
    database: Database, blobs: DatabaseBlobStore
) -> None:
    with database.sessions() as session:
        writer = blobs.open_writer()
        writer.write(b"abc")
        info = writer.finish(session)
        writer.abort()
        session.commit()
    assert b"".join(blobs.read(info.id)) == b"abc"


def test_a_slow_reader_holds_no_connection(database: Database, blobs: DatabaseBlobStore) -> None:
    with database.unit_of_work() as session:
        info = blobs.put(session, DATA)
    readers = [blobs.read(info.id) for _ in range(40)]
    for reader in readers:
        next(reader)
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
