"""A worker is seen as alive while it asks for its device, however long torch takes to be imported."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import func, select

import worker.presence
from app.db.models.worker import Worker
from app.db.session import Database
from app.task_names import TRAIN_QUEUE
from tests.waiting import wait_until
from tests.worker.bench import Bench
from worker.presence import Presence

SLOW = 'import time; time.sleep(2); print(\'{"torch": "2.0", "device": "slow"}\')'


def row(database: Database) -> Worker | None:
    with database.unit_of_work() as session:
        return session.execute(select(Worker)).scalar_one_or_none()


def rows(database: Database) -> int:
    with database.unit_of_work() as session:
        return session.execute(select(func.count()).select_from(Worker)).scalar_one()


@pytest.fixture
def presence(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Presence:
    monkeypatch.setattr(worker.presence, "SEEN_EVERY_SECONDS", 0.2)
    return Presence(bench.resources(), node="w@host", queues=[TRAIN_QUEUE])


def test_it_is_seen_while_torch_is_being_imported(
    presence: Presence, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.presence, "_PROBE", SLOW)
    seen = set()

    def told() -> bool:
        found = row(database)
        if found is not None and "torch" not in found.versions:
            seen.add(found.seen_at)
        return found is not None and found.versions.get("torch") == "2.0"

    presence.start()
    wait_until(told)
    presence.stop()
    assert len(seen) > 2
    assert rows(database) == 0


def test_one_that_leaves_does_not_wait_for_it(
    presence: Presence, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.presence, "_PROBE", SLOW.replace("sleep(2)", "sleep(600)"))
    presence.start()
    wait_until(lambda: row(database) is not None)
    began = time.monotonic()
    presence.stop()
    assert time.monotonic() - began < 60
    assert not presence._thread.is_alive()
    assert rows(database) == 0


def test_without_torch_it_says_so_and_stays(
    presence: Presence, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker.presence, "_PROBE", "import no_such_module_as_torch")
    presence.start()
    wait_until(lambda: "torch cannot be imported here" in caplog.text)
    presence.stop()
    assert "no_such_module_as_torch" in caplog.text
