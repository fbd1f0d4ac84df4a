from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.db.session import Database
from app.storage.database import DatabaseBlobStore
from tests.factories import RecordingSender


@pytest.fixture
def sender() -> RecordingSender:
    """What the test's own transactions sent."""
    return RecordingSender()


@pytest.fixture
def database(database_url: str, sender: RecordingSender) -> Iterator[Database]:
    database = Database(database_url, sender=sender)
    yield database
    database.dispose()


@pytest.fixture
def blobs(database: Database) -> DatabaseBlobStore:
    return DatabaseBlobStore(database.engine)
