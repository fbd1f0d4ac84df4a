"""A blob store in a dict: the second implementation that the contract's tests run over."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta

from sqlalchemy.orm import Session

from app.db.ids import new_id
from app.errors import BlobDamagedError
from app.storage.blobs import CHUNK_BYTES, DEFAULT_CONTENT_TYPE, BlobInfo


class MemoryBlobWriter:
    def __init__(self, store: MemoryBlobStore, content_type: str) -> None:
        self._store = store
        self._content_type = content_type
        self._finished = False
        self.blob_id = new_id("blob")
        store.bytes[self.blob_id] = b""
        store.written[self.blob_id] = time.monotonic()

    def write(self, data: bytes) -> None:
        self._store.bytes[self.blob_id] += data
        self._store.written[self.blob_id] = time.monotonic()

    def finish(self, session: Session) -> BlobInfo:
        data = self._store.bytes.get(self.blob_id)
        if data is None:
            raise BlobDamagedError("swept")
        self._finished = True
        info = BlobInfo(self.blob_id, len(data), hashlib.sha256(data).hexdigest(), self._content_type)
        self._store.infos[self.blob_id] = info
        return info

    def abort(self) -> None:
        if not self._finished:
            self._store.bytes.pop(self.blob_id, None)


class MemoryBlobStore:
    def __init__(self) -> None:
        self.bytes: dict[str, bytes] = {}
        self.infos: dict[str, BlobInfo] = {}
        self.written: dict[str, float] = {}

    def open_writer(self, content_type: str = DEFAULT_CONTENT_TYPE) -> MemoryBlobWriter:
        return MemoryBlobWriter(self, content_type)

    def put(self, session: Session, data: bytes, content_type: str = DEFAULT_CONTENT_TYPE) -> BlobInfo:
        writer = self.open_writer(content_type)
        writer.write(data)
        return writer.finish(session)

    def info(self, blob_id: str) -> BlobInfo:
        if blob_id not in self.infos:
            raise BlobDamagedError("no such blob")
        return self.infos[blob_id]

    def read(self, blob_id: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        info = self.info(blob_id)
        return self._pieces(info, max(start, 0), info.size if stop is None else min(stop, info.size))

    def verify(self, blob_id: str, expected: BlobInfo | None = None) -> None:
        info = expected or self.info(blob_id)
        if hashlib.sha256(self.bytes[blob_id]).hexdigest() != info.sha256:
            raise BlobDamagedError("damaged")

    def join(
        self,
        session: Session,
        blob_ids: Sequence[str],
        sha256: str,
        content_type: str = DEFAULT_CONTENT_TYPE,
    ) -> BlobInfo:
        sizes = [self.info(blob_id).size for blob_id in blob_ids]
        if any(size % CHUNK_BYTES for size in sizes[:-1]):
            raise ValueError("uneven")
        info = self.put(session, b"".join(self.bytes[blob_id] for blob_id in blob_ids), content_type)
        self.delete(session, *blob_ids)
        self.infos[info.id] = BlobInfo(info.id, info.size, sha256, content_type)
        return self.infos[info.id]

    def delete(self, session: Session, *blob_ids: str) -> int:
        freed = sum(len(self.bytes.pop(blob_id, b"")) for blob_id in blob_ids)
        for blob_id in blob_ids:
            self.infos.pop(blob_id, None)
        return freed

    def sweep(self, older_than: timedelta) -> int:
        limit = time.monotonic() - older_than.total_seconds()
        stale = [blob for blob in self.bytes if blob not in self.infos and self.written[blob] < limit]
        for blob in stale:
            del self.bytes[blob]
        return len(stale)

    def _pieces(self, info: BlobInfo, start: int, stop: int) -> Iterator[bytes]:
        data = self.bytes[info.id]
        while start < stop:
            end = min(stop, (start // CHUNK_BYTES + 1) * CHUNK_BYTES)
            yield data[start:end]
            start = end
