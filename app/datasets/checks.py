"""Faults of an uploaded file that show while it arrives, so that they are answered at once.

Only what needs no reading of content: no bytes at all, bytes that are not text, another compression than
gzip and Zstandard, a compressed stream that is broken or grows too large. Everything else is found by the
light worker and ends in the data set's `problems[]`.
"""

from __future__ import annotations

from app.datasets.compressed_files import GzipCheck, ZstdCheck
from app.datasets.plain_files import PlainCheck, empty_file
from app.errors import FILE, PayloadTooLarge
from worker.training.data.readers.magic import GZIP, MAGIC_BYTES, ZSTD

_Kind = PlainCheck | GzipCheck | ZstdCheck


class UploadCheck:
    """Sees all bytes of one file in order; `feed` and `finish` raise what is wrong with it.

    Args:
        max_bytes: Most bytes of the file as sent.
        max_decompressed_bytes: Most bytes after decompression.

    """

    def __init__(self, *, max_bytes: int, max_decompressed_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._max_decompressed_bytes = max_decompressed_bytes
        self._received = 0
        self._magic = b""
        self._kind: _Kind | None = None

    def feed(self, data: bytes) -> None:
        """Look at the next bytes. PayloadTooLarge or ValidationFailed when they cannot be taken."""
        self._received += len(data)
        if self._received > self._max_bytes:
            raise too_large(self._max_bytes)
        if self._kind is None:
            self._magic += data
            if len(self._magic) < MAGIC_BYTES:
                return
            self._kind, data = self._begin()
        self._kind.feed(data)

    @property
    def received(self) -> int:
        """Bytes so far."""
        return self._received

    def finish(self) -> None:
        """Say that the file is at its end. ValidationFailed when it cannot end there."""
        if self._received == 0:
            raise empty_file()
        if self._kind is None:
            self._kind, data = self._begin()
            self._kind.feed(data)
        self._kind.finish()

    def _begin(self) -> tuple[_Kind, bytes]:
        data, self._magic = self._magic, b""
        if data.startswith(GZIP):
            return GzipCheck(self._max_decompressed_bytes), data
        if ZSTD.match(data):
            return ZstdCheck(self._max_decompressed_bytes), data
        return PlainCheck(), data


def too_large(max_bytes: int) -> PayloadTooLarge:
    """The error for a file over the limit."""
    return PayloadTooLarge(
        f"The file is larger than {max_bytes} bytes.",
        hint="Compress it (gzip, zstd) or send parquet; the operator can raise STEADYRANK_MAX_UPLOAD_BYTES.",
        pointer=FILE,
    )
