"""Where a webhook may go: not into the network that this service stands in.

Whoever may register an address could otherwise have the service fetch what only it can reach (server-side
request forgery). A host is looked up and every address that it has is checked, when an endpoint is registered
and again at each delivery, which then connects to the very address that was checked
(app/webhooks/sending.py): a name that changes its address between check and use gains nothing.

The lists are those of IANA's registries of special-purpose addresses, written out: what `is_global` says
differs between releases of Python.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from urllib.parse import urlsplit

from app.errors import ErrorItem, ValidationFailed

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# Never a receiver, whatever the operator allows; metadata services of clouds are among them.
_NEVER = _networks(
    "0.0.0.0/8",  # this network
    "100.100.100.200/32",  # metadata (Alibaba)
    "168.63.129.16/32",  # metadata (Azure)
    "169.254.0.0/16",  # link-local, metadata
    "192.0.0.0/24",  # protocol assignments, metadata (Oracle)
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # 6to4 relays
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
    "fd00:ec2::/32",  # metadata (Amazon)
    "fd20:ce::/32",  # metadata (Google)
    "2001::/23",  # protocol assignments, Teredo
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4
    "3fff::/20",  # documentation
)
_PRIVATE = _networks(
    "10.0.0.0/8",
    "100.64.0.0/10",  # shared by customers of a carrier (CGNAT)
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",  # benchmarks between devices
    "::1/128",
    "fc00::/7",  # unique local
)
# What is not in here, of IPv6, is link-local, multicast, transitional or not assigned.
_UNICAST_6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

_LONGEST = 2048
_LOOKUP_SECONDS = 10.0
"""How long whoever registers an address waits for its host to be looked up."""


class RefusedAddressError(Exception):
    """The host has an address to which nothing is sent, or none at all."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def refusal(address: Address, *, allow_private: bool) -> str | None:
    """Why nothing is sent to this address; None where something may be."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return refusal(inner, allow_private=allow_private)
    if _in(address, _NEVER):
        return "is link-local, reserved, multicast or a cloud's metadata service"
    if _in(address, _PRIVATE):
        return None if allow_private else "is private"
    if address.version == 6 and address not in _UNICAST_6:
        return "is link-local, reserved or multicast"
    return None


def lookup(host: str, port: int, seconds: float) -> Sequence[str]:
    """The addresses of a host name or of an address in any notation, in the system's order of preference.

    In a thread of its own, since the system's resolver knows no deadline: one that is late is not waited for.
    RefusedAddressError (`unknown_host`) when there is none, or none within so many seconds.
    """
    found: Future[Sequence[str]] = Future()

    def ask() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            found.set_exception(error)
        else:
            found.set_result(list(dict.fromkeys(str(entry[4][0]) for entry in entries)))

    threading.Thread(target=ask, name="lookup", daemon=True).start()
    try:
        if addresses := found.result(seconds):
            return addresses
        why = f"the host {host!r} has no address"
    except TimeoutError:
        why = f"the host {host!r} was not found within {seconds:.3g} s"
    except (OSError, UnicodeError) as error:
        why = f"the host {host!r} has no address ({error})"
    raise RefusedAddressError("unknown_host", why)


def checked_addresses(host: str, port: int, *, allow_private: bool, seconds: float) -> Sequence[str]:
    """The addresses of a host, each of which something may be sent to; looked up within so many seconds.

    Raises:
        RefusedAddressError: There is none (`unknown_host`), or one of them is refused (`address_refused`).

    """
    addresses = lookup(host, port, seconds)
    for text in addresses:
        # A zone (fe80::1%eth0) only stands on addresses that are refused anyway.
        why = refusal(ipaddress.ip_address(text.partition("%")[0]), allow_private=allow_private)
        if why is not None:
            raise RefusedAddressError("address_refused", f"{host!r} is {text}, which {why}")
    return addresses


def check_url(url: str, *, allow_private: bool, https_only: bool) -> None:
    """Refuse an address that no webhook goes to. ValidationFailed at `/url` says why."""
    fault = _fault(url, https_only=https_only)
    if fault is not None:
        raise _invalid(*fault, got=url)
    parts = urlsplit(url)
    try:
        checked_addresses(
            parts.hostname or "",
            parts.port or default_port(parts.scheme),
            allow_private=allow_private,
            seconds=_LOOKUP_SECONDS,
        )
    except RefusedAddressError as error:
        hint = "Give an address that can be reached from the internet."
        if error.code == "address_refused":
            hint += " An operator may allow private ones: STEADYRANK_WEBHOOK_ALLOW_PRIVATE."
        raise _invalid(error.code, str(error), hint, got=url) from None


def default_port(scheme: str) -> int:
    """443 or 80."""
    return 443 if scheme == "https" else 80


def _in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _fault(url: str, *, https_only: bool) -> tuple[str, str, str] | None:
    if len(url) > _LONGEST or not url.isprintable() or " " in url or "\\" in url:
        return "invalid_url", "not an address", "An address has no spaces and at most 2048 characters."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return "invalid_url", f"not an address: {error}", "Write it as https://host/path."
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        return "invalid_url", "must be http:// or https:// and a host", "Write it as https://host/path."
    if parts.scheme != "https" and https_only:
        return "https_required", "must be https in production", "Write it as https://host/path."
    if parts.username is not None or parts.password is not None or parts.fragment:
        return (
            "invalid_url",
            "must have no user, password or fragment",
            "The signature says who sends; a token may stand in the path.",
        )
    return None


def _invalid(code: str, message: str, hint: str, *, got: str) -> ValidationFailed:
    item = ErrorItem("/url", code, message, got if len(got) <= _LONGEST else None, hint)
    return ValidationFailed(f"/url: {message}", code=code, errors=[item], hint=hint)
