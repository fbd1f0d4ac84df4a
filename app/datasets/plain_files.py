"""Files that are not compressed, seen while they arrive: text and parquet, and what is neither."""

from __future__ import annotations

from app.errors import FILE, ValidationFailed
from worker.training.data.readers.magic import MAGIC_BYTES, PARQUET, archive, is_compressed

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
        self._tail = (self._tail + data)[-len(PARQUET) :]

    def finish(self) -> None:
        """Say that this is the end. ValidationFailed when it cannot be."""
        if self._seen == 0:
            raise empty_file()
        if not self._parquet:
            _refuse_binary(self._head)
        if self._parquet and (self._tail != PARQUET or self._seen < 3 * len(PARQUET)):
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
    what = "compressed twice" if is_compressed(head) else archive(head)
    if what is not None:
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
