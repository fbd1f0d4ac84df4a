"""Where is the service, and with which key?

Order: arguments, then `STEADYRANK_URL` / `STEADYRANK_API_KEY`, then the files `url` and `api-key` that
`steadyrank up` leaves in its data folder. The SDK is the one part of SteadyRank that reads the environment
by itself: it is used in programs that know nothing of the service's settings.

The data folder's key is only ever sent to the data folder's own service.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from app.sdk.errors import NotConfiguredError

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Connection:
    """A service address without trailing slash, and its key, which is never shown."""

    base_url: str
    api_key: str | None = field(repr=False)


def default_data_folder() -> Path:
    """The embedded service's: STEADYRANK_DATA_DIR, $XDG_DATA_HOME/steadyrank or ~/.local/share/steadyrank."""
    named = os.environ.get("STEADYRANK_DATA_DIR")
    if named:
        return Path(named).expanduser()
    data_home = os.environ.get("XDG_DATA_HOME")
    return (Path(data_home) if data_home else Path.home() / ".local" / "share") / "steadyrank"


def discover(
    base_url: str | None = None, api_key: str | None = None, data_folder: Path | None = None
) -> Connection:
    """Find the service's address and key; raises NotConfiguredError when no address is known."""
    folder = data_folder if data_folder is not None else default_data_folder()
    local_url = _read(folder / "url")
    url = base_url or os.environ.get("STEADYRANK_URL") or local_url
    if not url:
        raise NotConfiguredError(
            "No SteadyRank service is known.",
            hint="Start one here with `steadyrank up`, or name one with STEADYRANK_URL.",
        )
    url = url.rstrip("/")
    if not _is_address(url):
        raise NotConfiguredError(
            f"{url!r} is not a service address.", hint="Give a URL such as http://127.0.0.1:8000."
        )
    key = api_key or os.environ.get("STEADYRANK_API_KEY")
    if not key and local_url and _same_service(url, local_url):
        key = _read(folder / "api-key")
    key = key.strip() if key else None
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        # Checked here because an HTTP library's own complaint would quote the key.
        raise NotConfiguredError(
            "The API key holds characters that no key has.",
            hint="Copy it again; see `steadyrank keys create`.",
        )
    return Connection(url, key or None)


def _read(path: Path) -> str | None:
    """A one-line file's text, or None where there is no such file or it is another user's."""
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None


def _is_address(url: str) -> bool:
    """Whether it is a URL of HTTP with a host that can be looked up and, where one is named, a port."""
    try:
        asked = httpx.URL(url)
        asked.raw_host.decode("ascii").encode("idna")  # what a look-up does with it
        return asked.scheme in {"http", "https"} and bool(asked.host) and urlsplit(url).port != 0
    except (httpx.InvalidURL, ValueError):
        return False


def _same_service(a: str, b: str) -> bool:
    if not _is_address(b):
        return False
    left, right = urlsplit(a), urlsplit(b)
    hosts = {left.hostname, right.hostname}
    return left.scheme == right.scheme and left.port == right.port and (len(hosts) == 1 or hosts <= _LOOPBACK)
