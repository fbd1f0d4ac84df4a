"""A database object for each test: some of these close it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.db.session import Database
from tests.factories import RecordingSender, opened


@pytest.fixture
def database(database_url: str, sender: RecordingSender) -> Iterator[Database]:
    """The test's own way to its database."""
    with opened(database_url, sender) as database:
        yield database
