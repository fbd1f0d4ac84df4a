"""Probes from HTTP to a real probing process and back, and what is said where there is none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

import app.jobs.probes
import worker.probe
from app.config import Settings
from app.db.clock import clock_time
from app.db.models.dataset import Dataset
from app.db.models.probe import Probe
from app.db.models.worker import Worker
from app.db.session import Database
from app.jobs.probes import claim, tidy_probes
from app.storage.database import DatabaseBlobStore
from app.task_names import MEASURE_QUEUE, PROBE_JOB, TRAIN_QUEUE
from tests.factories import RecordingSender
from tests.trained_jobs import TINY, log_of, store_log
from worker.probe import probe_job
from worker.probe_child import run_probe
from worker.resources import Resources
from worker.training.progress import DataError

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def resources(database: Database, blobs: DatabaseBlobStore, database_url: str) -> Resources:
    return Resources(Settings(database_url=database_url, device="cpu"), database, blobs)


@pytest.fixture
def dataset(resources: Resources) -> str:
    return store_log(resources, log_of(40))


@pytest.fixture
def ask(client: httpx.Client, dataset: str) -> Ask:
    def asked(query: str = "&estimate=probe", **given: Any) -> dict[str, Any]:
        body = {"dataset": dataset, **TINY, **given}
        answer = client.post(f"/v1/jobs?validate_only=true{query}", json=body, timeout=120)
        assert answer.status_code == 200, answer.text
        estimate: dict[str, Any] = answer.json()["estimate"]
        return estimate

    return asked


@pytest.fixture
def alive(database: Database) -> Callable[..., None]:
    def show(queue: str, device: str | None = None) -> None:
        with database.unit_of_work() as session:
            session.add(Worker(id=f"w@host/{queue}", queue=queue, device=device, versions={}))

    return show


def probes(database: Database) -> list[Probe]:
    with database.unit_of_work() as session:
        return list(session.execute(select(Probe).order_by(Probe.id)).scalars())


def a_worker(resources: Resources, stopped: threading.Event) -> threading.Thread:
    """What a measuring worker does, at once with whatever waits."""

    def serve() -> None:
        while not stopped.wait(0.05):
            for row in probes(resources.database):
                if row.status == "queued":
                    probe_job(row.id, resources=resources, stopping=stopped)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.slow
def test_a_probe_is_waited_for_and_kept_for_the_next_who_asks(
    ask: Ask, alive: Callable[..., None], resources: Resources, *, client: httpx.Client, dataset: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(app.jobs.probes, "WAIT_SECONDS", 100.0)
    alive(MEASURE_QUEUE)
    stopped = threading.Event()
    thread = a_worker(resources, stopped)
    try:
        found = ask()
    finally:
        stopped.set()
        thread.join()
    assert (found["basis"], found["sample_jobs"]) == ("probe", 0)
    assert found["probe"]["device"] == "cpu"
    (row,) = probes(resources.database)
    assert found["probe"]["id"] == row.id
    assert row.result is not None
    assert row.result["start_seconds"] > 0
    assert set(row.result["arms"]) == {"standard", "cascade"}
    assert 0 < found["seconds"]["low"] < found["seconds"]["expected"] < found["seconds"]["high"]
    assert found["peak_memory_bytes"] > row.result["peak_memory_bytes"] > 50 * 2**20
    # Nobody measures any more, and yet the next ones know: other epochs and attacks are no other steps.
    longer = ask(epochs=3000, attack_positions=["start"])
    assert longer["probe"]["id"] == row.id
    assert longer["seconds"]["expected"] > 2 * found["seconds"]["expected"]
    assert ask("")["basis"] == "probe"
    assert ask("", hidden_size=16)["basis"] == "model"
    job = client.post("/v1/jobs", json={"dataset": dataset, **TINY}).json()
    assert job["estimate"]["basis"] == "probe"
    assert len(probes(resources.database)) == 1


def test_without_a_worker_it_says_so_at_once(ask: Ask, database: Database) -> None:
    found = ask()
    assert (found["basis"], found["probe"]["code"]) == ("model", "no_worker_alive")
    assert probes(database) == []


def test_a_probe_that_does_not_end_is_not_waited_for_long(
    ask: Ask, alive: Callable[..., None], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.jobs.probes, "WAIT_SECONDS", 0.3)
    alive(MEASURE_QUEUE)
    found = ask()
    assert (found["basis"], found["probe"]["code"]) == ("model", "probe_not_ready")
    ask()
    assert len(probes(database)) == 1, "who asks again waits for the same one"
    for width in (12, 16, 20, 24):
        last = ask(hidden_size=width)
    assert last["probe"]["code"] == "too_many_probes"
    assert len(probes(database)) == 4


def waiting(resources: Resources, dataset: str, **given: Any) -> str:
    """A probe that waits; its id."""
    with resources.database.unit_of_work() as session:
        data = session.get_one(Dataset, dataset)
        spec = app.jobs.probes.TrainSpec(**{**TINY, **given})
        return str(app.jobs.probes._request(session, data.project_id, spec, data))


def test_a_probe_is_for_its_kind_of_machine(
    ask: Ask, alive: Callable[..., None], resources: Resources, *, dataset: str, tmp_path: Path,
    sender: RecordingSender,
) -> None:  # fmt: skip
    probe_id = waiting(resources, dataset)
    assert (PROBE_JOB, (probe_id,), MEASURE_QUEUE) in [(m.task_name, m.args, m.queue) for m in sender.sent]
    with resources.database.unit_of_work() as session:
        assert claim(session, probe_id)
        assert not claim(session, probe_id)
    run_probe(probe_id, resources, tmp_path)
    assert ask("")["basis"] == "probe"
    alive(TRAIN_QUEUE, "NVIDIA H100")
    elsewhere = ask("")
    assert (elsewhere["basis"], elsewhere["probe"]["code"]) == ("model", "other_machine")


def test_what_cannot_be_probed_is_written_down(
    ask: Ask, resources: Resources, dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = waiting(resources, dataset, init_from="mdl_deleted")
    with resources.database.unit_of_work() as session:
        assert claim(session, lost)
    with pytest.raises(DataError, match="the model mdl_deleted no longer exists"):
        run_probe(lost, resources, tmp_path)
    slow = waiting(resources, dataset, hidden_size=12)
    monkeypatch.setattr(worker.probe, "LIMIT_SECONDS", 0.0)
    probe_job(slow, resources=resources, stopping=threading.Event())
    row = probes(resources.database)[1]
    assert (row.status, (row.error or {})["code"]) == ("failed", "probe_too_long")
    probe_job(slow, resources=resources, stopping=threading.Event())  # a second message changes nothing
    assert ask("", hidden_size=12)["probe"]["code"] == "probe_too_long"


def test_a_probe_whose_worker_vanished_has_ended(session: Session, dataset: str) -> None:
    now = clock_time(session)
    project_id = session.get_one(Dataset, dataset).project_id
    rows = [
        Probe(project_id=project_id, dataset_id=dataset, key="k", spec={}, status="running", started_at=at)
        for at in (now - timedelta(minutes=3), now)
    ]
    session.add_all(rows)
    session.flush()
    tidy_probes(session)
    for row in rows:
        session.refresh(row)
    assert [row.status for row in rows] == ["failed", "running"]
    assert rows[0].error is not None
    assert rows[0].error["code"] == "worker_lost"
