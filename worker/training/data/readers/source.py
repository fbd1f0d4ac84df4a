"""From an uploaded file to a plain one: decompressed under a cap, in constant memory, without its BOM.

Files that cannot be text or parquet at all are refused here.
"""

from __future__ import annotations

import gzip
import mmap
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NoReturn, Protocol

from worker.training.data.readers.magic import (
    GZIP,
    MAGIC_BYTES,
    PARQUET,
    ZSTD_WINDOW_LOG,
    archive,
    is_compressed,
)
from worker.training.data.readers.problems import Problem, UnreadableDataset

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNK = 1 << 20
SAMPLE_BYTES = 1 << 18
UTF8_MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
TEXT_CONTROLS = frozenset(b"\t\n\r\f\x0b")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def refuse(code: str, message: str, hint: str, pointer: str = "/") -> NoReturn:
    """Raise the one problem of a file that cannot be read at all."""
    raise UnreadableDataset([Problem(code=code, message=message, pointer=pointer, hint=hint)])


@contextmanager
def plain_file(path: Path, max_bytes: int | None) -> Iterator[Path]:
    """Yield a path to the plain content: `path` itself, or a temporary file that is gone afterwards.

    Raises UnreadableDataset for an empty or broken file, an unknown compression, and as soon as the content
    proves longer than `max_bytes`.
    """
    with path.open("rb") as file:
        head = file.read(MAGIC_BYTES)
    if not head:
        refuse("empty_file", "the file is empty", "Upload a file with one interaction a line.")
    if what := archive(head):
        refuse("unsupported_compression", f"the file is {what}", "Upload it plain, as gzip or zstd.")
    compressed = is_compressed(head)
    if not compressed:
        _check_size(path.stat().st_size, max_bytes)
        if not head.startswith(UTF8_MARK):
            yield path
            return
    with tempfile.TemporaryDirectory(prefix="steadyrank-read-") as folder:
        plain = Path(folder) / "plain"
        with path.open("rb") as raw, plain.open("wb") as target:
            if head.startswith(GZIP):
                _unzip(raw, target, max_bytes)
            elif compressed:
                _unzstd(raw, target, max_bytes)
            else:
                _copy_unmarked(raw, target, max_bytes)
        if not plain.stat().st_size:
            refuse(
                "empty_file", "the file decompresses to nothing", "Upload a file with one interaction a line."
            )
        yield plain


def _unzip(raw: BinaryIO, target: BinaryIO, max_bytes: int | None) -> None:
    try:
        with gzip.GzipFile(fileobj=raw) as unzipped:
            _copy_unmarked(unzipped, target, max_bytes)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        refuse(
            "broken_gzip", f"the gzip file is damaged or cut short ({error})", "Compress and upload it again."
        )


def _unzstd(raw: BinaryIO, target: BinaryIO, max_bytes: int | None) -> None:
    try:
        with zstd.ZstdFile(
            raw, options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
        ) as unzipped:
            _copy_unmarked(unzipped, target, max_bytes)
    except (EOFError, zstd.ZstdError) as error:
        refuse(
            "broken_zstd",
            f"the zstd file is damaged, cut short or needs a window of more than 8 MiB ({error})",
            "Compress it again, without --long and --ultra, and upload it.",
        )


def _copy_unmarked(source: _Readable, target: BinaryIO, max_bytes: int | None) -> None:
    size = 0
    while chunk := source.read(CHUNK):
        _check_size(size + len(chunk), max_bytes)
        target.write(chunk.removeprefix(UTF8_MARK) if size == 0 else chunk)
        size += len(chunk)


def _check_size(size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        refuse(
            "decompressed_too_large",
            f"the content is longer than the {max_bytes:,} bytes allowed",
            "Keep only the user, item and time columns, or upload fewer rows.",
        )


def is_parquet(plain: Path) -> bool:
    """Say whether the file begins as parquet does."""
    with plain.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def may_hold_nul(plain: Path, format: str) -> bool:
    """Whether a cell could hold the character NUL, which no database keeps in a text.

    The bytes of a text file are searched, in a tenth of the time that it takes to search its cells. In JSON,
    half of a surrogate pair is read as NUL too (polars 2.1), so that every escape of one is reason to look.
    """
    if format == "parquet":
        return True
    with plain.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        escapes = (b"\\u0000", b"\\ud", b"\\uD") if format == "jsonl" else ()
        return any(content.find(sought) >= 0 for sought in (b"\0", *escapes))


def sample_lines(plain: Path) -> list[str]:
    """Return the first lines (whole ones) of a text file, without line ends.

    Raises UnreadableDataset when the bytes are no UTF-8 text, or nothing but white space.
    """
    with plain.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
        whole = not file.read(1)
    if sample.startswith(UTF16_MARKS):
        refuse("bad_encoding", "the file is UTF-16 text", "Save it as UTF-8.")
    controls = sum(byte < 32 and byte not in TEXT_CONTROLS for byte in sample)
    if b"\x00" in sample or controls > len(sample) / 100:
        refuse(
            "binary_file",
            "the file is binary, not text",
            "Upload csv, tsv, jsonl, RecBole .inter, MovieLens '::' or sequence text, or a parquet file.",
        )
    if not whole and b"\n" in sample:
        sample = sample[: sample.rindex(b"\n")]
    lines = [line.removesuffix("\r") for line in sample.decode("utf-8", errors="replace").split("\n")]
    if not any(line.strip() for line in lines):
        refuse("empty_file", "the file holds nothing but blank lines", "Upload one interaction a line.")
    return lines
