"""Blobs as files and files as blobs, a chunk at a time; a chunk read is checked against its digest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import polars as pl
from sqlalchemy.exc import OperationalError

from app.storage.blobs import CHUNK_BYTES, BlobStore, BlobWriter
from worker.durably import patiently
from worker.training.portable import MODEL_FILES

PARQUET_TYPE = "application/vnd.apache.parquet"


def download(
    blobs: BlobStore, blob_id: str, target: Path, *, beat: Callable[[], None] = lambda: None
) -> None:
    """Write a blob to a file; `beat` is called after each chunk."""

    def write() -> None:
        with target.open("wb") as file:
            for piece in blobs.read(blob_id):
                file.write(piece)
                beat()

    patiently(write)


def upload(source: Path, blobs: BlobStore, content_type: str) -> BlobWriter:
    """Write a file to a new blob, which the caller finishes or aborts."""
    return patiently(lambda: _written(blobs, content_type, _pieces(source)))


def upload_bytes(content: bytes, blobs: BlobStore, content_type: str) -> BlobWriter:
    """Write bytes to a new blob, which the caller finishes or aborts."""
    return patiently(lambda: _written(blobs, content_type, [content]))


def read_interactions(
    blobs: BlobStore, blob_id: str, path: Path, *, beat: Callable[[], None]
) -> pl.DataFrame:
    """Stream stored interactions to a file and read them: a canonical frame."""
    download(blobs, blob_id, path, beat=beat)
    return pl.read_parquet(path)


def read_model_files(blobs: BlobStore, blob_of: Mapping[str, str]) -> dict[str, bytes]:
    """Read those of a model's files that scoring needs, by name; what has no blob is left out."""

    def read() -> dict[str, bytes]:
        return {name: b"".join(blobs.read(blob_of[name])) for name in MODEL_FILES if name in blob_of}

    return patiently(read)


def _written(blobs: BlobStore, content_type: str, pieces: Iterable[bytes]) -> BlobWriter:
    writer = blobs.open_writer(content_type)
    try:
        for piece in pieces:
            writer.write(piece)
    except OperationalError:
        raise  # what was written is out of reach, and swept
    except BaseException:
        writer.abort()
        raise
    return writer


def _pieces(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece
