"""`steadyrank up`: the whole service out of one data folder, until it is told to stop."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from logging.handlers import RotatingFileHandler
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.logging import RichHandler
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.config import Settings, faults_of, get_settings
from app.console import new_console
from app.db.migrate import TableHeldError, upgrade
from app.db.session import Database
from app.embedded import datafolder, table
from app.embedded.datafolder import Hold, Running, held
from app.embedded.errors import AlreadyRunningError, EmbeddedError, StartError
from app.embedded.logfiles import ROTATE_BYTES
from app.embedded.postgres import DATABASE, Postgres
from app.embedded.preconditions import FreePort, ensure_key, see_broker, unusable
from app.embedded.sockets import socket_folder
from app.embedded.supervisor import Supervisor, logger
from app.embedded.valkey import Valkey
from app.jobs.claims import end_leases

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8753
OK, FAILED, ALREADY_RUNNING = 0, 1, 3
_CONNECTIONS_A_WORKER = 6
"""To the database, of a training worker and its child together: four as a rule."""


def up(
    data_dir: Path | None = None, host: str = DEFAULT_HOST, port: int | None = None, workers: int = 1
) -> int:
    """Run the service until SIGTERM or Ctrl-C.

    Args:
        data_dir: the data folder; STEADYRANK_DATA_DIR or the user's own when not given.
        host: address to listen on.
        port: TCP port; 8753 when not given, 0 for any free one.
        workers: number of training processes.

    Returns:
        Exit code: 0 stopped when asked, 1 could not start, 3 already running on this folder.
    """
    console = new_console(soft_wrap=True)
    try:
        settings = get_settings()
        folder = datafolder.make(data_dir or settings.data_dir)
        with held(folder) as hold, _logging(folder / "logs" / "up.log", console):
            return _Service(settings, hold, console, host=host, port=port, workers=workers).run()
    except AlreadyRunningError as error:
        console.print(str(error), markup=False)
        return ALREADY_RUNNING
    except EmbeddedError as error:
        console.print(error.message, style="bold red", markup=False)
        console.print(error.hint, markup=False)
        return FAILED
    except ValidationError as error:
        console.print(
            f"The environment's settings are not valid: {faults_of(error)}", style="bold red", markup=False
        )
        return FAILED


class _Service:
    """One run of the service on a data folder that is held."""

    def __init__(
        self, settings: Settings, hold: Hold, console: Console, *, host: str, port: int | None, workers: int
    ) -> None:
        self.settings = settings
        self.hold = hold
        self.folder = hold.folder
        self.host = host
        self.reserved = FreePort(host, DEFAULT_PORT if port is None else port)
        self.port = self.reserved.number
        self.workers = workers
        self.database_url: str | None = None
        self.console = console
        # a killed run's stays behind, and a client that finds it talks to nobody
        (self.folder / "url").unlink(missing_ok=True)
        self.supervisor = Supervisor(keep_open=[hold.processes], on_death=self._end_leases)

    def run(self) -> int:
        with self.supervisor.signals():
            try:
                self._need_what_trains()
                self._start()
                self.supervisor.run()
                self.console.print("Stopping …")
            finally:
                self.reserved.release()
                (self.folder / "url").unlink(missing_ok=True)
                self.supervisor.stop()
        return OK

    def _need_what_trains(self) -> None:
        if self.workers and not _can_work():
            raise EmbeddedError(
                "Training needs torch, which is not installed.",
                "In a checkout `make install` brings it (or `pip install '.[worker]'`); or run the API alone "
                "with --workers 0.",
            )

    def _start(self) -> None:
        began = time.monotonic()
        with self.console.status("Starting Postgres and Valkey …"):
            database_url = self.settings.database_url or self._start_postgres()
            redis_url = self.settings.redis_url or self._start_valkey()
        if self.supervisor.stopping:
            return
        with self.console.status("Bringing the tables up to date …"):
            try:
                upgrade(database_url)
                ensure_key(database_url, self.folder / "api-key")
            except TableHeldError as error:
                raise EmbeddedError(str(error), error.hint) from error
            except DBAPIError as error:
                raise unusable(error, given=self.settings.database_url is not None) from error
        if self.settings.redis_url is not None:
            see_broker(self.settings.redis_url)
        addresses = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        with self.console.status("Starting the API and the workers …"):
            for spec in table.service_table(
                self.folder,
                host=self.host,
                port=self.port,
                workers=self.workers if _can_work() else None,
                grace=self.settings.shutdown_grace_seconds,
                environment=addresses,
            ):
                self.supervisor.start(spec)
        self.reserved.release()
        if self.supervisor.stopping:
            return
        url = table.local_url(self.host, self.port)
        self.database_url = database_url
        self.hold.tell(Running(os.getpid(), url, database_url, redis_url))
        datafolder.write_private(self.folder / "url", url)
        self._greet(url, time.monotonic() - began)

    def _start_postgres(self) -> str:
        server = Postgres(
            self.folder / "postgres",
            socket_folder(self.folder),
            self.folder / "logs" / "postgres.log",
            connections=100 + _CONNECTIONS_A_WORKER * self.workers,
        )
        server.prepare()
        self.supervisor.start(server.spec())
        if not self.supervisor.stopping:
            server.create_database(DATABASE)
        return server.url()

    def _start_valkey(self) -> str:
        server = Valkey(
            self.folder / "valkey", socket_folder(self.folder), self.folder / "logs" / "valkey.log"
        )
        server.prepare()
        try:
            self.supervisor.start(server.spec())
        except StartError as error:
            # Its messages are only wake-ups, which the reaper sends again: no reason not to start.
            broken = self.folder / "valkey.broken"
            logger.warning("%s Its folder is put aside as %s.", error.message, broken)
            shutil.rmtree(broken, ignore_errors=True)
            server.folder.rename(broken)
            server.prepare()
            self.supervisor.start(server.spec())
        return server.url()

    def _end_leases(self, name: str) -> None:
        """Let the reaper take a dead worker's job at once; without this it waits for the lease."""
        # In a database of others' too, a worker of another service may have the same name.
        if self.database_url is None or self.settings.database_url is not None:
            return
        database = Database(self.database_url, pool_size=1)
        try:
            with database.unit_of_work() as session:
                ended = end_leases(session, table.node_name(name))
        except SQLAlchemyError as error:
            logger.warning("the leases of %s run on until they end by themselves: %s", name, error)
        else:
            if ended:
                logger.info("%s had %s: queued again by the reaper", name, ", ".join(ended))
        finally:
            database.dispose()

    def _greet(self, url: str, seconds: float) -> None:
        lines = {
            "API": url,
            "Page": f"{url}/dashboard",
            "Docs": f"{url}/docs",
            "Key": f"{self.folder / 'api-key'} (the command and the SDK on this machine find it)",
            "Logs": str(self.folder / "logs"),
        }
        self.console.print(f"[bold green]SteadyRank is running[/] after {seconds:.1f} s. Ctrl-C stops it.")
        for name, value in lines.items():
            self.console.print(f"  {name:<5} {value}", markup=False)


def _can_work() -> bool:
    """Whether what every worker needs is installed, the ones that do not train included."""
    return all(find_spec(name) is not None for name in ("torch", "polars"))


@contextmanager
def _logging(path: Path, console: Console) -> Iterator[None]:
    """Write the supervisor's messages to its log and the console while the block runs."""
    to_file = RotatingFileHandler(path, maxBytes=ROTATE_BYTES, backupCount=1)
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handlers = (to_file, RichHandler(console=console, show_path=False))
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
