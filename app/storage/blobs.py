"""The port for large bytes: what a blob store promises, whichever keeps the bytes.

Contract (one test suite runs over every implementation, tests/app/storage/test_contract.py):

* A blob exists for readers only when it is complete: after `BlobWriter.finish`, with its size and SHA-256.
* Writing commits as it goes, in bounded memory; `finish` belongs to the caller's transaction, so the blob and
  the row that refers to it appear together, or neither does.
* What is neither finished nor aborted is removed by `sweep` once nothing was written to it for a while.
* Reading is in bounded memory and checks every chunk: damaged or missing bytes raise `BlobDamagedError`
  before they are handed out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from sqlalchemy.orm import Session

CHUNK_BYTES = 1024 * 1024
DEFAULT_CONTENT_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class BlobInfo:
    """A complete blob: its id, length in bytes, SHA-256 in hex, and media type."""

    id: str
    size: int
    sha256: str
    content_type: str


class BlobWriter(Protocol):
    """One blob being written, by one thread at a time."""

    @property
    def blob_id(self) -> str:
        """Id of the blob to be."""

    @property
    def sha256(self) -> str:
        """Digest of what was written so far, in hex."""

    def write(self, data: bytes) -> None:
        """Append bytes, durably whenever a chunk is full."""

    def finish(self, session: Session) -> BlobInfo:
        """Complete the blob within the caller's transaction."""

    def abort(self) -> None:
        """Remove what was written. Does nothing after `finish`: what a rolled-back caller leaves is swept."""


class BlobStore(Protocol):
    """Keeps bytes by id."""

    def open_writer(self, content_type: str = DEFAULT_CONTENT_TYPE) -> BlobWriter:
        """Begin a new blob."""

    def put(self, session: Session, data: bytes, content_type: str = DEFAULT_CONTENT_TYPE) -> BlobInfo:
        """Write a whole blob and finish it in the caller's transaction."""

    def info(self, blob_id: str) -> BlobInfo:
        """Size and digest of a complete blob. BlobDamagedError when there is none."""

    def read(self, blob_id: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes [start, stop) in pieces of at most 1 MiB; to the end when `stop` is None."""

    def verify(self, blob_id: str, expected: BlobInfo | None = None) -> None:
        """Read everything back and compare size and SHA-256; BlobDamagedError when they differ.

        With `expected`, a blob that was finished but not yet committed can be checked.
        """

    def join(
        self,
        session: Session,
        blob_ids: Sequence[str],
        sha256: str,
        content_type: str = DEFAULT_CONTENT_TYPE,
    ) -> BlobInfo:
        """Make one blob of several, in this order, within the caller's transaction; they are gone after it.

        No byte is copied, so all but the last must have whole chunks only (ValueError). `sha256` is that of
        the whole, as the caller has computed it.
        """

    def delete(self, session: Session, *blob_ids: str) -> int:
        """Remove blobs within the caller's transaction; returns the bytes freed. Unknown ids free none."""

    def sweep(self, older_than: timedelta) -> int:
        """Remove unfinished blobs not written to for that long; returns how many there were."""
