from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.worker.bench import Bench


@pytest.fixture
def bench(database_url: str) -> Iterator[Bench]:
    bench = Bench(database_url)
    yield bench
    for resources in bench.opened:
        resources.database.dispose()
