"""Takes an uploaded file out of a request's stream, raw or multipart, in constant memory.

The key was checked before the first byte is read. Nothing is spooled: pieces of 256 KiB go through the checks
into a blob writer, in a thread. Whatever goes wrong, and a client that vanishes, leaves nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import anyio
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.body_pieces import body_pieces
from app.config import Settings
from app.datasets.checks import UploadCheck, too_large
from app.datasets.multipart import MultipartFile
from app.datasets.schemas import UploadOptions
from app.errors import ValidationFailed
from app.storage.blobs import BlobStore, BlobWriter
from app.validation_errors import error_items

_MULTIPART_OVERHEAD_BYTES = 64 * 1024


class _Source(Protocol):
    """Turns bytes of the body into bytes of the file."""

    def take(self, data: bytes) -> bytes: ...

    def end(self) -> dict[str, str]: ...


class _Raw:
    """The body is the file."""

    def take(self, data: bytes) -> bytes:
        return data

    def end(self) -> dict[str, str]:
        return {}


class ReceivedFile:
    """A file that has wholly arrived and passed the checks; its blob is not finished yet."""

    def __init__(self, writer: BlobWriter, size: int, options: UploadOptions) -> None:
        self.writer = writer
        self.size = size
        self.options = options


@asynccontextmanager
async def received_file(
    request: Request, blobs: BlobStore, settings: Settings, options: UploadOptions
) -> AsyncIterator[ReceivedFile]:
    """Read the request's file into a blob; the body of the block stores what refers to it.

    Raises:
        PayloadTooLarge: By Content-Length, while streaming, or after decompression.
        ValidationFailed: `empty_file`, `binary_file`, `broken_gzip`, `broken_zstd`, `broken_multipart`, …
        UploadInterruptedError: The client vanished or fell silent.

    """
    content_type = request.headers.get("content-type", "")
    multipart = content_type.lower().startswith("multipart/")
    declared = request.headers.get("content-length", "")
    overhead = _MULTIPART_OVERHEAD_BYTES if multipart else 0
    if declared.isdigit() and int(declared) > settings.max_upload_bytes + overhead:
        raise too_large(settings.max_upload_bytes)
    source: _Source = MultipartFile(content_type) if multipart else _Raw()
    check = UploadCheck(
        max_bytes=settings.max_upload_bytes, max_decompressed_bytes=settings.max_decompressed_bytes
    )
    writer = await run_in_threadpool(blobs.open_writer)
    try:
        async for piece in body_pieces(request, settings.upload_idle_seconds):
            await run_in_threadpool(_take, source, check, writer, piece)
        given = source.end()
        await run_in_threadpool(check.finish)
        yield ReceivedFile(writer, check.received, _merged(options, given))
    except BaseException:
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(writer.abort)
        raise


def _take(source: _Source, check: UploadCheck, writer: BlobWriter, piece: bytes) -> None:
    data = source.take(piece)
    if data:
        check.feed(data)
        writer.write(data)


def _merged(options: UploadOptions, given: dict[str, str]) -> UploadOptions:
    """The options of the query, with those of the form's fields over them."""
    try:
        return UploadOptions.model_validate({**options.model_dump(exclude_none=True), **given})
    except ValidationError as error:
        items = error_items(error.errors())
        raise ValidationFailed(f"{items[0].pointer}: {items[0].message}", errors=items) from error
