"""What must be so before the service starts: a free port, a broker that answers, tables, a key for them."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from pathlib import Path

import redis
from sqlalchemy.exc import DBAPIError

from app.accounts.scopes import Scope
from app.accounts.service import authenticate, create_key
from app.db.session import Database
from app.embedded import datafolder
from app.embedded.errors import EmbeddedError
from app.errors import Unauthorized


def unusable(error: DBAPIError, *, given: bool) -> EmbeddedError:
    """What to say when the tables cannot be made; the driver's words hold no password."""
    why = str(error.orig).strip().splitlines()[0]
    if not given:
        return EmbeddedError(f"The tables cannot be brought up to date: {why}", "See postgres.log.")
    return EmbeddedError(
        f"The database that DATABASE_URL names cannot be used: {why}",
        "Check its address, its user's rights, and that it runs; unset, an embedded one is used.",
    )


def see_broker(url: str) -> None:
    """EmbeddedError when nothing answers. An address with options, which kombu reads, is left to the API."""
    if "?" in url:
        return
    address = url.replace("redis+socket://", "unix://", 1)
    client = redis.Redis.from_url(address, socket_connect_timeout=5, socket_timeout=5)
    try:
        client.ping()
    except redis.RedisError as error:
        raise EmbeddedError(
            f"The broker that REDIS_URL names cannot be used: {str(error).rstrip('.')}.",
            "Check its address and password, and that it runs; unset, an embedded one is used.",
        ) from error
    finally:
        client.close()


def ensure_key(database_url: str, path: Path) -> None:
    """See to it that the key file holds a key of this database."""
    database = Database(database_url, pool_size=1)
    try:
        with database.unit_of_work() as session:
            with suppress(FileNotFoundError, Unauthorized):
                held = authenticate(session, path.read_text(encoding="utf-8").strip())
                if Scope.OPERATOR in held.scopes:
                    return
            name = f"local key of {socket.gethostname()}"
            _, secret = create_key(session, name=name, scopes=[Scope.OPERATOR])
        datafolder.write_private(path, secret + "\n")
    finally:
        database.dispose()


class FreePort:
    """The port to listen on; of 0, any free one. EmbeddedError when it is taken or the host is not ours.

    It is chosen seconds before the API listens on it. On Linux it stays bound for so long, which keeps it
    from whoever asks for any free port, and not from the API: both allow the address to be used again.
    """

    def __init__(self, host: str, wanted: int) -> None:
        try:
            self._probe = _bound(host, wanted)
        except OSError as error:
            raise EmbeddedError(
                f"Cannot listen on {host}, port {wanted}: {error.strerror}.",
                "Give another --port (0 takes any free one) or --host.",
            ) from error
        self.number = int(self._probe.getsockname()[1])
        if sys.platform != "linux":
            self.release()

    def release(self) -> None:
        """Let go of it: the API listens, or will not."""
        self._probe.close()


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    probe = socket.socket(family, kind, protocol)
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
    except OSError:
        probe.close()
        raise
    return probe
