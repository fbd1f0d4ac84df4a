"""Faults of an uploaded file that show while it arrives, so that they are answered at once.

Only what needs no reading of content: no bytes at all, bytes that are not text, another compression than
gzip and Zstandard, a compressed stream that is broken or grows too large. Everything else is found by the
light worker and ends in the data set's `problems[]`.
"""

from __future__ import annotations

import re
import sys
import zlib
from typing import NoReturn

from app.errors import FILE, PayloadTooLarge, ValidationFailed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GZIP, ZSTD, PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
ZSTD_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
"""A frame without content, with which some parallel compressors begin."""
ZSTD_WINDOW_LOG = 23
"""Windows of up to 8 MiB, which RFC 8878 asks every decoder to take: the memory that a stream costs."""
_ARCHIVES = {
    ZSTD: "compressed twice",
    b"BZh": "bzip2-compressed",
    b"\xfd7zXZ\x00": "xz-compressed",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"7z\xbc\xaf\x27\x1c": "a 7-zip archive",
    GZIP: "compressed twice",
}
_BZIP2 = re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", re.DOTALL)
"""The whole beginning of one: three letters alone could be the name of a column."""
_MAGIC_BYTES = 4
_TEXT_PROBE_BYTES = 64 * 1024
_INFLATE_STEP = 1024 * 1024


class _Plain:
    """Text or parquet: refuses NUL bytes near the beginning of what is not parquet."""

    def __init__(self) -> None:
        self._seen = 0
        self._head = b""
        self._parquet = False
        self._tail = b""

    def feed(self, data: bytes) -> None:
        if self._seen < _TEXT_PROBE_BYTES:
            self._head = (self._head + data[:_TEXT_PROBE_BYTES])[:_TEXT_PROBE_BYTES]
            self._parquet = self._head.startswith(PARQUET)
            certain = self._parquet or len(self._head) >= _MAGIC_BYTES
            if certain and not self._parquet:
                _refuse_binary(self._head)
        self._seen += len(data)
        self._tail = (self._tail + data)[-_MAGIC_BYTES:]

    def finish(self) -> None:
        if self._seen == 0:
            raise empty_file()
        if not self._parquet:
            _refuse_binary(self._head)
        if self._parquet and (self._tail != PARQUET or self._seen < 3 * _MAGIC_BYTES):
            raise ValidationFailed(
                "The parquet file does not end as parquet files do: it is cut short.",
                code="broken_parquet",
                hint="Send the whole file.",
                pointer=FILE,
            )


class _Inflated:
    """What comes out of a compressed file: counted, seen by `_Plain`, and not kept."""

    def __init__(self, max_bytes: int) -> None:
        self._limit = max_bytes
        self._bytes = 0
        self._plain = _Plain()
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


class _Gzip:
    """Inflates along, a step at a time. Members may follow each other."""

    def __init__(self, max_decompressed_bytes: int) -> None:
        self._text = _Inflated(max_decompressed_bytes)
        self._stream = zlib.decompressobj(wbits=31)
        self._between_members = False

    def feed(self, data: bytes) -> None:
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
        if not self._between_members:
            raise _broken("gzip", "it ends before its last block")
        self._text.finish()


class _Zstd:
    """Decompresses along, a step at a time. Frames may follow each other."""

    def __init__(self, max_decompressed_bytes: int) -> None:
        self._text = _Inflated(max_decompressed_bytes)
        self._stream = _zstd_stream()

    def feed(self, data: bytes) -> None:
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
        if not self._stream.eof:
            raise _broken("zstd", "it ends before its last block")
        self._text.finish()


_Kind = _Plain | _Gzip | _Zstd


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
            if len(self._magic) < _MAGIC_BYTES:
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
            return _Gzip(self._max_decompressed_bytes), data
        if data.startswith(ZSTD) or ZSTD_SKIPPABLE.match(data):
            return _Zstd(self._max_decompressed_bytes), data
        return _Plain(), data


def too_large(max_bytes: int) -> PayloadTooLarge:
    """The error for a file over the limit."""
    return PayloadTooLarge(
        f"The file is larger than {max_bytes} bytes.",
        hint="Compress it (gzip, zstd) or send parquet; the operator can raise STEADYRANK_MAX_UPLOAD_BYTES.",
        pointer=FILE,
    )


def empty_file() -> ValidationFailed:
    """The error for a body, or a compressed file, without a byte in it."""
    return ValidationFailed(
        "The file is empty.",
        code="empty_file",
        hint="Send the file as the body: curl --data-binary @log.csv",
        pointer=FILE,
    )


def _refuse_binary(head: bytes) -> None:
    """ValidationFailed when a file that begins with these bytes is neither text nor parquet."""
    for magic, what in _ARCHIVES.items():
        if head.startswith(magic) and (magic != b"BZh" or _BZIP2.match(head)):
            raise ValidationFailed(
                f"The file is {what}.",
                code="unsupported_compression",
                hint="Send it plain, compressed once with gzip or zstd, or as parquet.",
                pointer=FILE,
            )
    if b"\0" in head:
        raise ValidationFailed(
            "The file is neither text nor parquet.",
            code="binary_file",
            hint="Send csv, tsv, jsonl, .inter or other UTF-8 text, plain, gzip or zstd, or parquet.",
            pointer=FILE,
        )


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
