"""Takes one part out of a request's stream in constant memory; whatever goes wrong leaves nothing."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.body_pieces import body_pieces
from app.config import Settings
from app.datasets.checks import UploadCheck
from app.errors import FILE, PayloadTooLarge, ValidationFailed
from app.storage.blobs import BlobStore, BlobWriter
from app.uploads.digests import HEADER, DigestMismatchError, wanted_sha256
from app.uploads.service import Received


@asynccontextmanager
async def received_part(
    request: Request, blobs: BlobStore, settings: Settings, *, n: int, most_bytes: int
) -> AsyncIterator[Received]:
    """Read the request's part into a blob; the body of the block stores what refers to it.

    The first part is looked at as the beginning of a file, so that one that cannot be a data set is refused
    with it and not after the last.

    Raises:
        PayloadTooLarge: It is longer than `most_bytes`, by Content-Length or while streaming.
        ValidationFailed: A faulty Content-Digest, an empty part, or a file that cannot be a data set.
        DigestMismatchError: The bytes are not those that Content-Digest announced.
        UploadInterruptedError: The client vanished or fell silent.

    """
    announced = wanted_sha256(request.headers.get(HEADER))
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most_bytes:
        raise _too_long(most_bytes)
    beginning = (
        UploadCheck(
            max_bytes=settings.max_upload_bytes, max_decompressed_bytes=settings.max_decompressed_bytes
        )
        if n == 1
        else None
    )
    writer = await run_in_threadpool(blobs.open_writer)
    part = _Part(writer, beginning, most_bytes)
    try:
        async for piece in body_pieces(request, settings.upload_idle_seconds):
            await run_in_threadpool(part.take, piece)
        yield part.received(announced)
    finally:
        # nothing is left to do if the blob was finished; that of a repeated part is not needed
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(writer.abort)


class _Part:
    """The bytes of one part, counted and hashed on their way to the blob."""

    def __init__(self, writer: BlobWriter, beginning: UploadCheck | None, most_bytes: int) -> None:
        self._writer = writer
        self._beginning = beginning
        self._most_bytes = most_bytes
        self._size = 0
        self._digest = hashlib.sha256()

    def take(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._most_bytes:
            raise _too_long(self._most_bytes)
        if self._beginning is not None:
            self._beginning.feed(piece)
        self._digest.update(piece)
        self._writer.write(piece)

    def received(self, announced: str | None) -> Received:
        if not self._size:
            raise ValidationFailed(
                "The part is empty.", code="empty_part", hint="Send its bytes as the body.", pointer=FILE
            )
        found = self._digest.hexdigest()
        if announced is not None and announced != found:
            raise DigestMismatchError(
                f"The bytes that arrived have the SHA-256 {found}, not {announced}; they were not kept.",
                hint="Send the part again.",
                pointer=FILE,
            )
        return Received(self._writer, self._size, found)


def _too_long(most_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"This part has at most {most_bytes} bytes.",
        code="part_too_large",
        hint="Every part has `part_bytes` bytes, the last one what is left.",
        pointer=FILE,
    )
