"""Blobs as files and files as blobs, a chunk at a time; a chunk read is checked against its digest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

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


def upload(source: Path, writer: BlobWriter) -> None:
    """Write a file to a blob, which the caller finishes or aborts."""
    with source.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            writer.write(piece)


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
