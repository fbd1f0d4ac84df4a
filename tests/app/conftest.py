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
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from app.accounts.service import create_key
from app.config import Settings
from app.db.session import Database
from app.db.tables import metadata
from app.main import create_app
from tests.serving import served


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


@pytest.fixture
def database_url(shared_database_url: str) -> str:
    """Address of a migrated database without rows."""
    engine = create_engine(shared_database_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    return shared_database_url


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
        upload_idle_seconds=5.0,
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
    with httpx.Client(base_url=service_url, timeout=30) as client:
        yield client


@pytest.fixture
def client(service_url: str, api_key: str) -> Iterator[httpx.Client]:
    """A client of the default project."""
    headers = {"Authorization": f"Bearer {api_key}"}
    with httpx.Client(base_url=service_url, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture
def stranger_headers(database: Database) -> dict[str, str]:
    """Headers of another project's key."""
    with database.unit_of_work() as session:
        return {"Authorization": f"Bearer {create_key(session, name='other', project='other')[1]}"}
