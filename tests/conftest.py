"""Real servers for every test that needs one.

Postgres and Valkey come out of their wheels, in a short temporary folder, and die with this process however
it ends; of several pytest processes (`-n`) each has its own. TEST_DATABASE_URL and TEST_REDIS_URL point the
suite at other servers: the first at a database whose user may create databases, the second at a database
number that is flushed before each test that uses it. With `-n`, the next processes take the next numbers.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from app.db.migrate import upgrade
from app.db.session import Database
from app.embedded.postgres import Postgres
from app.embedded.processes import ProcessSpec, start, stop, wait_ready
from app.embedded.valkey import Valkey
from app.storage.database import DatabaseBlobStore
from tests.dealing import dealt
from tests.factories import RecordingSender, opened

# A machine that is busy with other tests is no fault of the code. CI draws the same examples each time, so
# that it fails for what a change did; elsewhere they are drawn anew.
hypothesis_settings.register_profile(
    "suite",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.load_profile("suite")


def pytest_configure() -> None:
    """Take Ctrl-C even where the suite was started in a shell's background, which has it ignored.

    An ignored signal is inherited, and a shell that was born with it ignored cannot trap it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes long, in every process."""
    known_to_worker: dict[str, Any] = getattr(config, "workerinput", {})
    items[:] = dealt(
        items,
        known_to_worker.get("workercount", 1),
        slow=lambda item: item.get_closest_marker("slow") is not None,
        module=lambda item: item.path,
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores, at most four: tests of whole services mostly wait."""
    return min((os.cpu_count() or 1) + 1, 4)


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A short folder, since a socket's path has at most 107 bytes; pytest's own are long."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="sr-"))
    yield folder
    shutil.rmtree(folder)


def broker_of_worker(given: str, worker_id: str) -> str:
    """The address with the database number of a pytest process: `gw2` takes the second after it."""
    index = int(worker_id.removeprefix("gw")) if worker_id != "master" else 0
    if index == 0:
        return given
    parts = urlsplit(given)
    if parts.scheme == "unix":
        raise pytest.UsageError("TEST_REDIS_URL with a socket is for one pytest process: add ARGS='-n 0'.")
    return parts._replace(path=f"/{int(parts.path.strip('/') or 0) + index}").geturl()


@contextmanager
def _running(spec: ProcessSpec) -> Iterator[None]:
    process = start(spec)
    try:
        wait_ready(spec, process, seconds=30.0)
        yield
    finally:
        stop([(spec, process)])


@pytest.fixture(scope="session")
def postgres_url(server_folder: Path) -> Iterator[str]:
    """Address of a server on which databases can be created, in SQLAlchemy's form."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield make_url(given).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        return
    server = Postgres(server_folder / "pg", server_folder, server_folder / "postgres.log", durable=False)
    server.prepare()
    with _running(server.spec()):
        yield server.url("postgres")


@pytest.fixture(scope="session")
def redis_url(server_folder: Path, worker_id: str) -> Iterator[str]:
    """Address of a broker that no other process of this run uses, in redis-py's form."""
    given = os.environ.get("TEST_REDIS_URL")
    if given:
        yield broker_of_worker(given, worker_id)
        return
    server = Valkey(server_folder / "valkey", server_folder, server_folder / "valkey.log", durable=False)
    server.prepare()
    with _running(server.spec()):
        yield server.url()


def _execute(server: str, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))


@contextmanager
def _database(server: str, template: str) -> Iterator[str]:
    """A database that exists while the block runs; yields its address."""
    name = f"sr_{uuid.uuid4().hex[:12]}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> Iterator[str]:
    """Name of a database that the migrations have built and nobody writes to."""
    with _database(postgres_url, "template0") as url:
        upgrade(url)
        yield str(make_url(url).database)


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """Address of a database of this test's own with no tables in it."""
    with _database(postgres_url, "template0") as url:
        yield url


@pytest.fixture
def database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """Address of a migrated database of this test's own."""
    with _database(postgres_url, migrated_template) as url:
        yield url


@pytest.fixture
def broker_url(redis_url: str) -> str:
    """Address of a broker with nothing in it, in redis-py's form."""
    client = redis.Redis.from_url(redis_url)
    client.flushdb()
    client.close()
    return redis_url


@pytest.fixture
def sender() -> RecordingSender:
    """What the test's own sessions sent."""
    return RecordingSender()


@pytest.fixture
def database(database_url: str, sender: RecordingSender) -> Iterator[Database]:
    """The test's own way to its database, beside that of an application or a worker."""
    with opened(database_url, sender) as database:
        yield database


@pytest.fixture
def blobs(database: Database) -> DatabaseBlobStore:
    """The blobs in the test's database."""
    return DatabaseBlobStore(database.engine)
