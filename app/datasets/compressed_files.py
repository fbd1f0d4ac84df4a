"""Compressed files, decompressed while they arrive: what is broken, or grows too large. Nothing is kept."""

from __future__ import annotations

import sys
import zlib
from typing import NoReturn

from app.datasets.plain_files import PlainCheck
from app.errors import FILE, PayloadTooLarge, ValidationFailed
from worker.training.data.readers.magic import ZSTD_WINDOW_LOG

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_INFLATE_STEP = 1024 * 1024


class _Inflated:
    """What comes out of a compressed file: counted, seen by `PlainCheck`, and not kept."""

    def __init__(self, max_bytes: int) -> None:
        self._limit = max_bytes
        self._bytes = 0
        self._plain = PlainCheck()
        self.finish = self._plain.finish

    def see(self, text: bytes) -> None:
        self._bytes += len(text)
        if self._bytes > self._limit:
            raise PayloadTooLarge(
                f"Decompressed, the file is larger than {self._limit} bytes.",
                code="decompressed_too_large",
                hint="Send fewer rows, or parquet; the operator can raise STEADYRANK_MAX_DECOMPRESSED_BYTES.",
                pointer=FILE,
            )
        self._plain.feed(text)


class GzipCheck:
    """Inflates along, a step at a time. Members may follow each other."""

    def __init__(self, max_decompressed_bytes: int) -> None:
        self._text = _Inflated(max_decompressed_bytes)
        self._stream = zlib.decompressobj(wbits=31)
        self._between_members = False

    def feed(self, data: bytes) -> None:
        """Decompress the next bytes. ValidationFailed or PayloadTooLarge when they cannot be taken."""
        while data:
            if self._between_members:
                data = data.lstrip(b"\0")  # padding after a member is allowed
                if not data:
                    return
                self._stream, self._between_members = zlib.decompressobj(wbits=31), False
            try:
                text = self._stream.decompress(data, _INFLATE_STEP)
            except zlib.error as error:
                raise _broken("gzip", str(error)) from error
            self._text.see(text)
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            self._between_members = self._stream.eof

    def finish(self) -> None:
        """Say that this is the end. ValidationFailed when it cannot be."""
        if not self._between_members:
            raise _broken("gzip", "it ends before its last block")
        self._text.finish()


class ZstdCheck:
    """Decompresses along, a step at a time. Frames may follow each other."""

    def __init__(self, max_decompressed_bytes: int) -> None:
        self._text = _Inflated(max_decompressed_bytes)
        self._stream = _zstd_stream()

    def feed(self, data: bytes) -> None:
        """Decompress the next bytes. ValidationFailed or PayloadTooLarge when they cannot be taken."""
        while data or not (self._stream.eof or self._stream.needs_input):
            if self._stream.eof:
                self._stream = _zstd_stream()
            try:
                text = self._stream.decompress(data, _INFLATE_STEP)
            except zstd.ZstdError as error:
                _refuse_zstd(error)
            self._text.see(text)
            data = self._stream.unused_data if self._stream.eof else b""

    def finish(self) -> None:
        """Say that this is the end. ValidationFailed when it cannot be."""
        if not self._stream.eof:
            raise _broken("zstd", "it ends before its last block")
        self._text.finish()


def _zstd_stream() -> zstd.ZstdDecompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG})


def _refuse_zstd(error: zstd.ZstdError) -> NoReturn:
    if "too much memory" in str(error):
        raise ValidationFailed(
            "The zstd file needs a window of more than 8 MiB to be read.",
            code="unsupported_compression",
            hint="Compress it without --long and --ultra.",
            pointer=FILE,
        ) from error
    raise _broken("zstd", str(error)) from error


def _broken(kind: str, why: str) -> ValidationFailed:
    return ValidationFailed(
        f"The {kind} file is broken: {why}.",
        code=f"broken_{kind}",
        hint=f"`{kind} -t file` tells whether the file is whole on your side.",
        pointer=FILE,
    )
