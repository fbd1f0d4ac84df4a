"""The application on a real Postgres and a real Valkey, and what stands behind it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from psycopg import sql
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from app.accounts.service import create_key
from app.config import Settings
from app.db.session import Database
from app.db.tables import metadata
from app.main import create_app
from tests.factories import RecordingSender, opened
from tests.serving import NO_CERTIFICATES, served

EMPTY = sql.SQL("; ").join(
    sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)) for table in reversed(metadata.sorted_tables)
)
"""All in one transaction, and in one way to the server and back."""


@pytest.fixture(scope="session")
def shared_database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """One migrated database for all tests under tests/app: emptying it takes a twentieth of making one."""
    name = f"sr_app_{uuid.uuid4().hex[:12]}"
    server = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(server, autocommit=True) as connection:
        template = sql.Identifier(migrated_template)
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), template))
        yield make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def emptying(shared_database_url: str) -> Iterator[psycopg.Connection]:
    """A connection for `EMPTY` between the tests."""
    plain = make_url(shared_database_url).set(drivername="postgresql")
    address = plain.render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True, options="-c lock_timeout=5s") as connection:
        yield connection


@pytest.fixture
def database_url(shared_database_url: str, emptying: psycopg.Connection) -> str:
    """Address of a migrated database without rows."""
    emptying.execute(EMPTY)
    return shared_database_url


@pytest.fixture(scope="session")
def shared_sender() -> RecordingSender:
    """What the sessions of `shared_database` send to."""
    return RecordingSender()


@pytest.fixture
def sender(shared_sender: RecordingSender) -> RecordingSender:
    """What the test's own sessions sent."""
    shared_sender.sent.clear()
    return shared_sender


@pytest.fixture(scope="session")
def shared_database(shared_database_url: str, shared_sender: RecordingSender) -> Iterator[Database]:
    """The tests' own way to their database: its connections are opened once for all tests."""
    with opened(shared_database_url, shared_sender) as database:
        yield database


@pytest.fixture
def database(shared_database: Database, database_url: str, sender: RecordingSender) -> Database:
    """The test's own way to its database, which is empty; nothing was sent yet."""
    assert database_url
    assert not sender.sent
    return shared_database


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """A session whose transaction is rolled back."""
    with database.sessions() as session:
        yield session
        session.rollback()


@pytest.fixture(scope="session")
def shared_settings(shared_database_url: str, redis_url: str, server_folder: Path) -> Settings:
    """Settings with small limits."""
    return Settings(
        database_url=shared_database_url,
        redis_url=redis_url,
        data_dir=server_folder / "data",
        max_upload_bytes=3 * 1024 * 1024,
        max_decompressed_bytes=4 * 1024 * 1024,
    )


@pytest.fixture
def settings(shared_settings: Settings, database_url: str, broker_url: str) -> Settings:
    """The settings of the served application; the database and the broker are empty."""
    assert (shared_settings.database_url, shared_settings.redis_url) == (database_url, broker_url)
    return shared_settings


@pytest.fixture(scope="session")
def application(shared_settings: Settings) -> FastAPI:
    """The application, made and served once for all tests; one that is to be changed is made by the test."""
    return create_app(shared_settings)


@pytest.fixture(scope="session")
def shared_service_url(application: FastAPI) -> Iterator[str]:
    """Where the application is served, by a real HTTP server."""
    with served(application) as url:
        yield url


@pytest.fixture
def api_key(database: Database) -> str:
    """A key of the default project."""
    with database.unit_of_work() as session:
        return create_key(session, name="test")[1]


@pytest.fixture
def service_url(shared_service_url: str, settings: Settings) -> str:
    """Where the application is served; its database and broker are empty at first."""
    assert settings
    return shared_service_url


@pytest.fixture
def anonymous(service_url: str) -> Iterator[httpx.Client]:
    """A client without a key."""
    with httpx.Client(base_url=service_url, timeout=30, verify=NO_CERTIFICATES) as client:
        yield client


@pytest.fixture
def client(service_url: str, api_key: str) -> Iterator[httpx.Client]:
    """A client of the default project."""
    headers = {"Authorization": f"Bearer {api_key}"}
    with httpx.Client(base_url=service_url, headers=headers, timeout=30, verify=NO_CERTIFICATES) as client:
        yield client


@pytest.fixture
def stranger_headers(database: Database) -> dict[str, str]:
    """Headers of another project's key."""
    with database.unit_of_work() as session:
        return {"Authorization": f"Bearer {create_key(session, name='other', project='other')[1]}"}
