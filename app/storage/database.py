"""The blob store over Postgres: rows of 1 MiB, each with its own digest.

Reads use psycopg's binary format (as text they take three times as long) and hold no connection between
chunks, so a slow client costs none. Writes commit chunk by chunk on a connection of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import accumulate

import psycopg
from sqlalchemy import Engine, delete, func, insert, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db.ids import new_id
from app.db.models.blob import Blob, BlobChunk
from app.errors import BlobDamagedError
from app.storage.blobs import CHUNK_BYTES, DEFAULT_CONTENT_TYPE, BlobInfo

_SELECT_CHUNK = "SELECT data, sha256 FROM blob_chunks WHERE blob_id = %s AND n = %s"

_REKEY = text(
    "UPDATE blob_chunks AS chunk SET blob_id = :whole, n = chunk.n + part.first"
    " FROM unnest(CAST(:ids AS text[]), CAST(:firsts AS int[])) AS part (id, first)"
    " WHERE chunk.blob_id = part.id"
)
"""Gives chunks another key. Their bytes lie in TOAST, and an UPDATE that leaves them alone moves none."""


class DatabaseBlobWriter:
    """Writes one blob; see `BlobWriter`."""

    def __init__(self, engine: Engine, content_type: str) -> None:
        self._engine = engine
        self._content_type = content_type
        self._buffer = bytearray()
        self._whole = hashlib.sha256()
        self._size = 0
        self._next = 0
        self._finished = False
        self._blob_id = new_id(Blob.id_prefix)
        with engine.begin() as connection:
            connection.execute(insert(Blob).values(id=self._blob_id, content_type=content_type))

    @property
    def blob_id(self) -> str:
        """Id of the blob to be."""
        return self._blob_id

    @property
    def sha256(self) -> str:
        """Digest of what was written so far, in hex."""
        return self._whole.hexdigest()

    def write(self, data: bytes) -> None:
        """Append bytes; every full chunk is committed at once."""
        self._whole.update(data)
        self._size += len(data)
        rest = memoryview(data)
        while rest:
            room = CHUNK_BYTES - len(self._buffer)
            self._buffer += rest[:room]
            rest = rest[room:]
            if len(self._buffer) == CHUNK_BYTES:
                self._store(self._buffer)  # as it is: a copy for each upload at once is what memory peaks at
                self._buffer.clear()

    def finish(self, session: Session) -> BlobInfo:
        """Commit the last chunk, then set size and digest in the caller's transaction."""
        if self._buffer:
            self._store(self._buffer)
            self._buffer.clear()
        self._finished = True
        info = BlobInfo(self._blob_id, self._size, self.sha256, self._content_type)
        finished = session.execute(
            update(Blob)
            .where(Blob.id == self._blob_id, Blob.sha256.is_(None))
            .values(size=info.size, sha256=info.sha256)
            .returning(Blob.id)
        ).scalar_one_or_none()
        if finished is None:
            raise BlobDamagedError(f"blob {self._blob_id} was removed while it was being written")
        return info

    def abort(self) -> None:
        """Remove the blob and its chunks; does nothing after `finish`."""
        self._buffer.clear()
        if (
            self._finished
        ):  # the caller's transaction may still hold the row's lock: deleting would wait for it
            return
        with self._engine.begin() as connection:
            connection.execute(delete(Blob).where(Blob.id == self._blob_id, Blob.sha256.is_(None)))

    def _store(self, chunk: bytearray) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                insert(BlobChunk).values(
                    blob_id=self._blob_id, n=self._next, data=chunk, sha256=hashlib.sha256(chunk).digest()
                )
            )
            connection.execute(update(Blob).where(Blob.id == self._blob_id).values(written_at=func.now()))
        self._next += 1


class DatabaseBlobStore:
    """Keeps blobs in the tables `blobs` and `blob_chunks`; see `BlobStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open_writer(self, content_type: str = DEFAULT_CONTENT_TYPE) -> DatabaseBlobWriter:
        """Begin a new blob."""
        return DatabaseBlobWriter(self._engine, content_type)

    def put(self, session: Session, data: bytes, content_type: str = DEFAULT_CONTENT_TYPE) -> BlobInfo:
        """Write a whole blob and finish it in the caller's transaction."""
        writer = self.open_writer(content_type)
        try:
            writer.write(data)
            return writer.finish(session)
        except BaseException:
            writer.abort()
            raise

    def info(self, blob_id: str) -> BlobInfo:
        """Size and digest of a complete blob. BlobDamagedError when there is none."""
        with self._engine.connect() as connection:
            row = connection.execute(
                select(Blob.size, Blob.sha256, Blob.content_type).where(Blob.id == blob_id)
            ).one_or_none()
        if row is None or row.size is None or row.sha256 is None:
            raise BlobDamagedError(f"there is no complete blob {blob_id}")
        return BlobInfo(blob_id, row.size, row.sha256, row.content_type)

    def read(self, blob_id: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes [start, stop) in pieces of at most 1 MiB, each checked against its digest."""
        return self._pieces(self.info(blob_id), start, stop)

    def verify(self, blob_id: str, expected: BlobInfo | None = None) -> None:
        """Read everything back and compare the whole SHA-256."""
        info = expected or self.info(blob_id)
        whole = hashlib.sha256()
        for piece in self._pieces(info, 0, None):
            whole.update(piece)
        if whole.hexdigest() != info.sha256:
            raise BlobDamagedError(f"blob {blob_id} does not have the digest that it was stored with")

    def join(
        self,
        session: Session,
        blob_ids: Sequence[str],
        sha256: str,
        content_type: str = DEFAULT_CONTENT_TYPE,
    ) -> BlobInfo:
        """Make one blob of several within the caller's transaction, by giving their chunks another key."""
        rows = session.execute(
            select(Blob.id, Blob.size)
            .where(Blob.id.in_(blob_ids), Blob.sha256.is_not(None))
            .with_for_update()
        )
        found = {row.id: row.size for row in rows}
        if len(found) != len(blob_ids):
            raise BlobDamagedError("some of the blobs to be joined are missing or incomplete")
        sizes = [found[blob_id] for blob_id in blob_ids]
        if any(size % CHUNK_BYTES for size in sizes[:-1]):
            raise ValueError("only the last of the blobs to be joined may end within a chunk")
        firsts = [first // CHUNK_BYTES for first in accumulate(sizes[:-1], initial=0)]
        info = BlobInfo(new_id(Blob.id_prefix), sum(sizes), sha256, content_type)
        session.execute(
            insert(Blob).values(id=info.id, content_type=content_type, size=info.size, sha256=sha256)
        )
        session.execute(_REKEY, {"whole": info.id, "ids": list(blob_ids), "firsts": firsts})
        session.execute(delete(Blob).where(Blob.id.in_(blob_ids)))
        return info

    def delete(self, session: Session, *blob_ids: str) -> int:
        """Remove blobs within the caller's transaction; returns the bytes freed."""
        freed = session.execute(
            select(func.coalesce(func.sum(func.octet_length(BlobChunk.data)), 0)).where(
                BlobChunk.blob_id.in_(blob_ids)
            )
        ).scalar_one()
        session.execute(delete(Blob).where(Blob.id.in_(blob_ids)))
        return int(freed)

    def sweep(self, older_than: timedelta) -> int:
        """Remove unfinished blobs not written to for that long."""
        stale = (
            select(Blob.id)
            .where(Blob.sha256.is_(None), Blob.written_at < func.now() - older_than)
            .with_for_update(
                skip_locked=True
            )  # one whose last chunk or finish is being written right now is alive
        )
        with self._engine.begin() as connection:
            removed = connection.execute(delete(Blob).where(Blob.id.in_(stale)).returning(Blob.id)).all()
        return len(removed)

    def _pieces(self, info: BlobInfo, start: int, stop: int | None) -> Iterator[bytes]:
        end = info.size if stop is None else min(stop, info.size)
        at = max(start, 0)
        while at < end:
            n, offset = divmod(at, CHUNK_BYTES)
            chunk = self._chunk(info, n)
            piece = chunk[offset : offset + end - at]
            yield piece
            at += len(piece)

    def _chunk(self, info: BlobInfo, n: int) -> bytes:
        try:
            row = self._row(info.id, n)
        except psycopg.OperationalError as error:
            # As SQLAlchemy has it everywhere else: whoever can wait for a database that is away waits.
            raise OperationalError(_SELECT_CHUNK, (info.id, n), error) from error
        expected_length = min(CHUNK_BYTES, info.size - n * CHUNK_BYTES)
        if row is None or len(row[0]) != expected_length or hashlib.sha256(row[0]).digest() != row[1]:
            raise BlobDamagedError(f"chunk {n} of blob {info.id} is missing or damaged")
        return bytes(row[0])

    def _row(self, blob_id: str, n: int) -> tuple[bytes, bytes] | None:
        connection = self._engine.raw_connection()
        try:
            cursor = connection.cursor(binary=True)
            cursor.execute(_SELECT_CHUNK, (blob_id, n))
            row: tuple[bytes, bytes] | None = cursor.fetchone()
            cursor.close()
        finally:
            connection.close()
        return row
