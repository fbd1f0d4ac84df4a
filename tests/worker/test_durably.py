"""A database that is away for a while costs no work; one that stays away is an error."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

import worker.durably
from app.db.models.project import Project
from app.db.session import Database
from worker.durably import durably


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses, which take no time here."""
    pauses: list[float] = []
    monkeypatch.setattr(worker.durably, "time", SimpleNamespace(sleep=pauses.append))
    return pauses


def away(times: int) -> Callable[[Session], int]:
    """Work that begins each time, and meets a database that goes away so many times."""
    left = iter(range(times))

    def work(session: Session) -> int:
        session.add(Project(name="mine"))
        session.flush()
        if next(left, None) is not None:
            raise OperationalError("SELECT 1", {}, Exception("the connection was closed"))
        return 7

    return work


def projects(database: Database) -> int:
    with database.unit_of_work() as session:
        mine = select(func.count()).select_from(Project).where(Project.name == "mine")
        return session.execute(mine).scalar_one()


def test_it_is_done_once_when_the_database_is_back(database: Database, slept: list[float]) -> None:
    assert durably(database, away(2)) == 7
    assert slept == [0.5, 1.0]
    assert projects(database) == 1


def test_after_half_a_minute_the_fault_is_told(database: Database, slept: list[float]) -> None:
    with pytest.raises(OperationalError):
        durably(database, away(100))
    assert 30 < sum(slept) < 60
    assert projects(database) == 0


def test_another_fault_is_told_at_once(database: Database, slept: list[float]) -> None:
    def fail(_: Session) -> None:
        raise ValueError("of the work itself")

    with pytest.raises(ValueError, match="of the work"):
        durably(database, fail)
    assert slept == []
