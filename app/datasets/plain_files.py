"""Files that are not compressed, seen while they arrive: text and parquet, and what is neither."""

from __future__ import annotations

import re

from app.errors import FILE, ValidationFailed

GZIP, ZSTD, PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
MAGIC_BYTES = 4
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
_TEXT_PROBE_BYTES = 64 * 1024


class PlainCheck:
    """Text or parquet: refuses NUL bytes near the beginning of what is not parquet."""

    def __init__(self) -> None:
        self._seen = 0
        self._head = b""
        self._parquet = False
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Look at the next bytes. ValidationFailed when they are neither text nor parquet."""
        if self._seen < _TEXT_PROBE_BYTES:
            self._head = (self._head + data[:_TEXT_PROBE_BYTES])[:_TEXT_PROBE_BYTES]
            self._parquet = self._head.startswith(PARQUET)
            certain = self._parquet or len(self._head) >= MAGIC_BYTES
            if certain and not self._parquet:
                _refuse_binary(self._head)
        self._seen += len(data)
        self._tail = (self._tail + data)[-MAGIC_BYTES:]

    def finish(self) -> None:
        """Say that this is the end. ValidationFailed when it cannot be."""
        if self._seen == 0:
            raise empty_file()
        if not self._parquet:
            _refuse_binary(self._head)
        if self._parquet and (self._tail != PARQUET or self._seen < 3 * MAGIC_BYTES):
            raise ValidationFailed(
                "The parquet file does not end as parquet files do: it is cut short.",
                code="broken_parquet",
                hint="Send the whole file.",
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
