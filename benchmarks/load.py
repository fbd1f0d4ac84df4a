"""Requests over plain sockets, for a load generator that costs less than the server that it measures.

HTTP/1.1 on connections that stay open; only what an answer needs is read: status, Content-Length, the bytes.
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any
from urllib.parse import urlsplit

CONNECTIONS = 16
_BLOCK = 1 << 20

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def request_bytes(url: str, key: str) -> bytes:
    """A GET of that address, as it goes over the wire."""
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n\r\n".encode()


async def _ask(connection: Connection, request: bytes) -> None:
    reader, writer = connection
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(_length(head))


def _length(head: bytes) -> int:
    """Content-Length of an answer; RuntimeError when it is not 200."""
    status, *lines = head.split(b"\r\n")
    if status.split()[1] != b"200":
        raise RuntimeError(f"the server answered {status!r}")
    lengths = [line.split(b":")[1] for line in lines if line.lower().startswith(b"content-length:")]
    return int(lengths[0])


async def _connections(url: str, count: int) -> list[Connection]:
    parts = urlsplit(url)
    return [await asyncio.open_connection(parts.hostname, parts.port) for _ in range(count)]


def at_a_rate(url: str, key: str, rate: float, seconds: float) -> dict[str, Any]:
    """Latencies in seconds at so many requests a second, each counted from when it was due.

    So one slow answer also counts for those that had to wait behind it.
    """

    async def run() -> list[float]:
        free: asyncio.Queue[Connection] = asyncio.Queue()
        connections = await _connections(url, CONNECTIONS)
        for connection in connections:
            free.put_nowait(connection)
        request, latencies = request_bytes(url, key), []

        async def one(due: float) -> None:
            connection = await free.get()
            await _ask(connection, request)
            free.put_nowait(connection)
            latencies.append(time.perf_counter() - due)

        began = time.perf_counter() + 0.1
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(rate * seconds)):
                due = began + number / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                tasks.create_task(one(due))
        for _, writer in connections:
            writer.close()
        return latencies

    return {"latencies": asyncio.run(run())}


def as_fast_as_possible(url: str, key: str, connections: int, seconds: float) -> dict[str, Any]:
    """Answers a second to so many connections, each of which asks again as soon as it was answered.

    None asks any more after that many seconds; the answers are counted until the last has come.
    """

    async def run() -> float:
        opened = await _connections(url, connections)
        request, began = request_bytes(url, key), time.perf_counter()
        until = began + seconds

        async def loop(connection: Connection) -> int:
            count = 0
            while time.perf_counter() < until:
                await _ask(connection, request)
                count += 1
            connection[1].close()
            return count

        answers = sum(await asyncio.gather(*map(loop, opened)))
        return answers / (time.perf_counter() - began)

    return {"per_second": asyncio.run(run())}


def download(url: str, key: str) -> dict[str, Any]:
    """Seconds and bytes of one answer, whose bytes are thrown away."""
    parts = urlsplit(url)
    began = time.perf_counter()
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=600) as connection:
        connection.sendall(request_bytes(url, key))
        received = connection.recv(_BLOCK)
        while b"\r\n\r\n" not in received:
            received += connection.recv(_BLOCK)
        head, _, body = received.partition(b"\r\n\r\n")
        size, left = _length(head), _length(head) - len(body)
        buffer = bytearray(_BLOCK)
        while left > 0:
            count = connection.recv_into(buffer, min(_BLOCK, left))
            if not count:
                raise RuntimeError("the answer was cut short")
            left -= count
    return {"seconds": time.perf_counter() - began, "bytes": size}
