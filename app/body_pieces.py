"""A request's body in pieces, for routes that take bodies of any length and hold none of them whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.requests import ClientDisconnect, Request

from app.errors import UploadInterruptedError

PIECE_BYTES = 256 * 1024


async def body_pieces(request: Request, idle_seconds: float) -> AsyncIterator[bytes]:
    """The body in pieces of about 256 KiB: a thread is entered once for each, not for every packet.

    Raises:
        UploadInterruptedError: The client vanished, or sent nothing for `idle_seconds`.

    """
    gathered = bytearray()
    stream = aiter(request.stream())
    try:
        while True:
            try:
                async with _limit(idle_seconds):
                    gathered += await anext(stream)
            except StopAsyncIteration:
                break
            if len(gathered) >= PIECE_BYTES:
                yield bytes(gathered)
                gathered.clear()
    except ClientDisconnect as error:
        raise UploadInterruptedError("The connection ended before the body did; nothing was kept.") from error
    except TimeoutError as error:
        raise UploadInterruptedError(
            f"Nothing arrived for {idle_seconds:g} seconds; nothing was kept."
        ) from error
    if gathered:
        yield bytes(gathered)


@asynccontextmanager
async def _limit(seconds: float) -> AsyncIterator[None]:
    with anyio.fail_after(seconds):
        yield
