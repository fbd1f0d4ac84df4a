"""One HTTP request to a receiver: to the checked address, in a bounded time, never redirected.

httpcore is what httpx stands on; its network backend is the place where a host name becomes a connection.
Neither proxies of the environment nor redirects nor cookies exist at this level.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httpcore
import httpx

from app.webhooks.addresses import RefusedAddressError, checked_addresses

RESPONSE_BYTES = 1024
"""How much of a response is read and kept."""


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt: a status code, or why there is none."""

    seconds: float
    status_code: int | None = None
    response: str = ""
    """The beginning of the body."""
    error: str | None = None
    """Why it counts as a failure; None after a 2xx."""
    retry_after: float | None = None
    """Seconds that the receiver asks to be left alone."""


def post(
    url: str, headers: Mapping[str, str], body: bytes, *, timeout: float, allow_private: bool
) -> Outcome:
    """Send a body; whatever happens is an Outcome.

    Args:
        url: http or https; its host is looked up and checked now.
        headers: Beside Host and Content-Length.
        body: What is sent.
        timeout: Seconds for all of it: looking up, connecting, sending, and reading the answer.
        allow_private: Whether private addresses may be connected to.

    """
    trust = _trust()  # read once a process, which is no time of the receiver's
    began = time.monotonic()
    backend = _Backend(deadline=began + timeout, allow_private=allow_private)
    try:
        with httpcore.ConnectionPool(ssl_context=trust, network_backend=backend) as pool:
            status, text, retry_after = _exchange(pool, url, headers, body)
    except RefusedAddressError as error:
        failed = str(error)
    except httpcore.TimeoutException:
        failed = f"no answer within {timeout:g} s"
    except (httpcore.NetworkError, httpcore.ProtocolError, httpx.InvalidURL, OSError, ValueError) as error:
        failed = str(error) or type(error).__name__
    else:
        seconds = time.monotonic() - began
        return Outcome(seconds, status, text, _failure(status), retry_after)
    return Outcome(time.monotonic() - began, error=failed)


def _exchange(
    pool: httpcore.ConnectionPool, url: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, str, float | None]:
    address = httpx.URL(url)  # host names in other alphabets become ASCII
    target = httpcore.URL(
        scheme=address.raw_scheme, host=address.raw_host, port=address.port, target=address.raw_path
    )
    with pool.stream("POST", target, headers=list(headers.items()), content=body) as response:
        read = b""
        for piece in response.iter_stream():
            read += piece
            if len(read) >= RESPONSE_BYTES:
                break
        # no NUL: Postgres keeps none in a text
        text = read[:RESPONSE_BYTES].decode("utf-8", "replace").replace("\0", "\ufffd")
        return response.status, text, _retry_after(response)


def _failure(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"the receiver answered {status}; redirects are not followed"
    return f"the receiver answered {status}"


def _retry_after(response: httpcore.Response) -> float | None:
    given = next((value for name, value in response.headers if name.lower() == b"retry-after"), b"")
    return float(given) if response.status in {429, 503} and given.isdigit() and len(given) < 9 else None


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    """Certifi's authorities, or those of SSL_CERT_FILE."""
    return httpx.create_ssl_context()


class _Backend(httpcore.NetworkBackend):
    """Connects to the addresses that were checked; TLS still asks for the certificate of the host's name."""

    def __init__(self, *, deadline: float, allow_private: bool) -> None:
        self._deadline = deadline
        self._allow_private = allow_private
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that takes it."""
        left = _left(self._deadline, httpcore.ConnectTimeout)
        addresses = checked_addresses(host.strip("[]"), port, allow_private=self._allow_private, seconds=left)
        for address in addresses[:-1]:
            try:
                return self._connect(address, port)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._connect(addresses[-1], port)

    def _connect(self, address: str, port: int) -> httpcore.NetworkStream:
        stream = self._sockets.connect_tcp(
            address, port, timeout=_left(self._deadline, httpcore.ConnectTimeout)
        )
        return _Stream(stream, self._deadline)


class _Stream(httpcore.NetworkStream):
    """A connection whose every step takes at most what is left: a receiver cannot drip forever."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(self._deadline, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float, late: type[httpcore.TimeoutException]) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise late("the time is over")
    return left
