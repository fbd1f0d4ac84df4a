"""Upload bodies in constant memory, from a path, bytes, an open file or any iterable of bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from io import SEEK_END
from pathlib import Path
from typing import BinaryIO, cast

from app.sdk.errors import IntegrityError
from app.sdk.transport import Body

Source = str | os.PathLike[str] | bytes | BinaryIO | Iterable[bytes]
"""What can be uploaded: a path, the bytes themselves, an open binary file, or blocks of bytes."""

Sent = Callable[[int, int | None], None]
"""Told, while sending, how many bytes have left, of how many (None where that is not known)."""

READ_BYTES = 1 << 20


def body_of(source: Source, on_bytes: Sent | None = None) -> Body:
    """Make a request body of `source`.

    A path, bytes and a seekable file can be sent again on a retry; a pipe and an iterable only once. An open
    file is sent from where it stands and stays open. OSError when a path cannot be read; TypeError for a data
    frame.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        # Of a pipe nobody knows how much will come out.
        if path.exists() and not path.is_file() and not path.is_dir():
            return Body(lambda: _counted(_of_path(path), None, on_bytes), size=None, repeatable=False)
        with path.open("rb"):
            size = path.stat().st_size
        return Body(
            lambda: _counted(_exactly(_of_path(path), size, path.name), size, on_bytes),
            size=size,
            repeatable=True,
        )
    if isinstance(source, bytes | bytearray | memoryview):
        whole = bytes(source)
        return Body(
            lambda: _counted(_of_bytes(whole), len(whole), on_bytes), size=len(whole), repeatable=True
        )
    if hasattr(source, "read"):
        return _of_file(cast("BinaryIO", source), on_bytes)
    if hasattr(source, "columns"):  # of which iterating gives the columns
        raise TypeError(
            "a data frame is no file: write it to one (pandas: to_parquet, polars: write_parquet) first"
        )
    return Body(lambda: _counted(iter(source), None, on_bytes), size=None, repeatable=False)


def _of_file(file: BinaryIO, on_bytes: Sent | None) -> Body:
    if not file.seekable():
        return Body(lambda: _counted(_read(file), None, on_bytes), size=None, repeatable=False)
    start = file.tell()
    size = file.seek(0, SEEK_END) - start
    file.seek(start)

    def again() -> Iterator[bytes]:
        file.seek(start)
        yield from _read(file)

    return Body(lambda: _counted(again(), size, on_bytes), size=size, repeatable=True)


def _of_path(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from _read(file)


def _exactly(blocks: Iterator[bytes], size: int, name: str) -> Iterator[bytes]:
    """The first `size` bytes: a log may grow while it is sent. IntegrityError when there are fewer."""
    left = size
    for block in blocks:
        yield block[:left]
        left -= min(left, len(block))
        if not left:
            return
    if left:
        raise IntegrityError(f"{name} became shorter while it was being uploaded")


def _of_bytes(whole: bytes) -> Iterator[bytes]:
    view = memoryview(whole)
    for start in range(0, len(whole), READ_BYTES):
        yield bytes(view[start : start + READ_BYTES])


def _read(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(READ_BYTES):
        yield block


def _counted(blocks: Iterator[bytes], size: int | None, on_bytes: Sent | None) -> Iterator[bytes]:
    sent = 0
    for block in blocks:
        yield block
        sent += len(block)
        if on_bytes:
            on_bytes(sent, size)
