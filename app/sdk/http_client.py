"""The HTTP client below the SDK: who it says it is, whom it trusts, and which proxies it takes."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import cache
from typing import Final

import httpx

from app.sdk.discovery import Connection

_CONNECT_SECONDS = 10.0
_DIRECT: Final[Mapping[str, httpx.BaseTransport | None]] = {
    "all://localhost": None,
    "all://127.0.0.1": None,
    "all://[::1]": None,
}
"""A proxy of the environment is for the outside world, never for a service on this machine."""


def open_client(
    connection: Connection, *, timeout: float, transport: httpx.BaseTransport | None = None
) -> httpx.Client:
    """Return a client of that service which sends its key.

    Args:
        connection: The address and the key.
        timeout: Seconds for each read or write; connecting has ten at most.
        transport: What carries the requests, in place of the network.

    """
    headers = {"Accept": "application/json", "User-Agent": "steadyrank-sdk"}
    if connection.api_key:
        headers["Authorization"] = f"Bearer {connection.api_key}"
    return httpx.Client(
        base_url=connection.base_url,
        headers=headers,
        timeout=timeouts(timeout),
        transport=transport,
        mounts=_DIRECT,
        verify=_certificates(),
    )


def timeouts(seconds: float) -> httpx.Timeout:
    """What a request may take for each read or write, and for connecting."""
    return httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))


@cache
def _certificates() -> ssl.SSLContext:
    """Whom to trust over TLS, read once for all clients of the process: it takes longer than a request."""
    return httpx.create_ssl_context()
