"""Recommending to a whole data set, as the light worker does, from the request to the parquet file."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

import worker.recommend
from app.config import Settings
from app.db.models.batch_recommendation import BatchRecommendation
from app.db.models.blob import Blob, BlobChunk
from app.db.models.dataset import Dataset
from app.db.session import Database
from app.models.batch_schemas import BatchCreate
from app.models.batches import claim, create, delete, get, recover_batches, renew
from app.storage.database import DatabaseBlobStore
from app.task_names import LIGHT_QUEUE, RECOMMEND_BATCH
from tests.factories import RecordingSender, make_ready_dataset
from tests.stored_models import model_files, store_models
from tests.waiting import wait_until
from worker.recommend import recommend_batch
from worker.resources import Resources
from worker.training.portable import PortableModel, load_model

HISTORIES = {"anna": ["i1", "i2", "i3"], "ben": ["i4", "new", "i5"], "cleo": ["new", "newer"]}


@pytest.fixture
def resources(database: Database, blobs: DatabaseBlobStore, database_url: str) -> Resources:
    return Resources(Settings(database_url=database_url, max_attempts=2), database, blobs)


@pytest.fixture
def batch(resources: Resources) -> BatchRecommendation:
    (model_id,) = store_models(resources.database, resources.blobs)
    rows = [(user, item, at) for user, items in HISTORIES.items() for at, item in enumerate(items)]
    frame = pl.DataFrame(rows, schema=["user", "item", "timestamp"], orient="row").sort("timestamp")
    file = io.BytesIO()
    frame.write_parquet(file)
    with resources.database.unit_of_work() as session:
        dataset = make_ready_dataset(session, resources.blobs, canonical=file.getvalue())
        asked = BatchCreate(dataset=dataset.id, k=3)
        return create(session, resources.settings, dataset.project_id, model_id, asked)


def again(resources: Resources, batch: BatchRecommendation) -> BatchRecommendation:
    with resources.database.unit_of_work() as session:
        return get(session, batch.project_id, batch.model_id, batch.id)


def run(resources: Resources, batch: BatchRecommendation, *, stopping: bool = False) -> BatchRecommendation:
    stop = threading.Event()
    if stopping:
        stop.set()
    recommend_batch(batch.id, resources=resources, stopping=stop)
    return again(resources, batch)


def expire(resources: Resources, batch: BatchRecommendation) -> None:
    with resources.database.unit_of_work() as session:
        held = session.get_one(BatchRecommendation, batch.id)
        held.lease_until = session.execute(select(func.now())).scalar_one() - timedelta(seconds=1)
    with resources.database.unit_of_work() as session:
        assert recover_batches(session, resources.settings) == 1


def test_every_user_gets_what_the_model_says(
    resources: Resources, batch: BatchRecommendation, sender: RecordingSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (RECOMMEND_BATCH, (batch.id,), LIGHT_QUEUE) in [
        (m.task_name, m.args, m.queue) for m in sender.sent
    ]
    monkeypatch.setattr(worker.recommend, "ROWS_A_PART", 2)  # several parts
    done = run(resources, batch)
    assert (done.status, done.error, done.attempts) == ("succeeded", None, 1)
    assert done.stats == {
        "users": 3,
        "recommended_users": 2,
        "rows": 6,
        "unknown_items": 2,
        "unknown_interactions": 3,
        "unknown_examples": ["new", "newer"],
    }
    assert done.blob_id is not None
    found = pl.read_parquet(b"".join(resources.blobs.read(done.blob_id)))
    local = load_model(model_files())
    expected = [
        (user, rank, item)
        for user, history in (("anna", ["i1", "i2", "i3"]), ("ben", ["i4", "i5"]))
        for rank, (item, _) in enumerate(local.recommend(history, 3), 1)
    ]
    assert found.select("user", "rank", "item").rows() == expected
    assert found["score"].to_list()[:3] == pytest.approx(
        [s for _, s in local.recommend(["i1", "i2", "i3"], 3)]
    )
    assert run(resources, batch).attempts == 1  # a second message changes nothing


def test_a_worker_that_dies_leaves_it_for_another_and_fails_it_in_the_end(
    resources: Resources, batch: BatchRecommendation, sender: RecordingSender
) -> None:
    for tried in (1, 2):
        with resources.database.unit_of_work() as session:
            claimed = claim(session, batch.id, lease_seconds=30)
        assert claimed is not None
        assert claimed.attempt == tried
        sender.sent.clear()
        expire(resources, batch)
    failed = again(resources, batch)
    assert (failed.status, sender.sent) == ("failed", [])
    assert failed.error is not None
    assert failed.error["code"] == "worker_lost"


def test_one_whose_worker_died_once_succeeds(resources: Resources, batch: BatchRecommendation) -> None:
    with resources.database.unit_of_work() as session:
        assert claim(session, batch.id, lease_seconds=30) is not None
    expire(resources, batch)
    done = run(resources, batch)
    assert (done.status, done.attempts) == ("succeeded", 2)


def test_a_worker_that_leaves_gives_it_back(resources: Resources, batch: BatchRecommendation) -> None:
    back = run(resources, batch, stopping=True)
    assert (back.status, back.lease_until, back.attempts_lost) == ("queued", None, 0)
    assert run(resources, batch).status == "succeeded"


def test_deleted_while_it_ran_nothing_stays(
    resources: Resources, batch: BatchRecommendation, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = worker.recommend._Run.whole

    def delete_first(self: Any) -> Any:
        with resources.database.unit_of_work() as session:
            delete(session, resources.blobs, get(session, batch.project_id, batch.model_id, batch.id))
        return whole(self)

    with resources.database.unit_of_work() as session:
        blobs_before = session.execute(select(func.count()).select_from(Blob)).scalar_one()
    monkeypatch.setattr(worker.recommend._Run, "whole", delete_first)
    recommend_batch(batch.id, resources=resources, stopping=threading.Event())
    with resources.database.unit_of_work() as session:
        assert session.get(BatchRecommendation, batch.id) is None
        complete = select(func.count()).select_from(Blob).where(Blob.sha256.is_not(None))
        assert session.execute(complete).scalar_one() == blobs_before


def test_without_its_data_set_it_fails_and_says_so(resources: Resources, batch: BatchRecommendation) -> None:
    with resources.database.unit_of_work() as session:
        session.delete(session.get_one(Dataset, batch.dataset_id))
    failed = run(resources, batch)
    assert failed.error is not None
    assert (failed.status, failed.error["code"]) == ("failed", "dataset_gone")


def test_a_database_that_is_away_for_a_moment_costs_nothing(
    resources: Resources, batch: BatchRecommendation, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = resources.settings.model_copy(update={"lease_seconds": 1e-6})  # renewed at every user
    failures = [OperationalError("UPDATE", {}, Exception("terminating connection"))] * 2

    def interrupted(*arguments: Any, **given: Any) -> bool:
        if failures:
            raise failures.pop()
        return renew(*arguments, **{**given, "lease_seconds": 30})

    monkeypatch.setattr(worker.recommend, "renew", interrupted)
    done = run(replace(resources, settings=settings), batch)
    assert (done.status, done.attempts, failures) == ("succeeded", 1, [])


def test_its_claim_is_kept_alive_from_the_first_moment(
    resources: Resources, batch: BatchRecommendation, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = resources.settings.model_copy(update={"lease_seconds": 1.0})
    fetch, leases = worker.recommend.download, set()

    def slowly(*arguments: Any) -> None:
        wait_until(lambda: leases.add(again(resources, batch).lease_until) or len(leases) > 3)
        fetch(*arguments)

    monkeypatch.setattr(worker.recommend, "download", slowly)
    done = run(replace(resources, settings=settings), batch)
    assert (done.status, done.attempts) == ("succeeded", 1)


def test_a_fault_is_told_at_once_and_as_what_it_is(
    resources: Resources, batch: BatchRecommendation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("as a fault of ours would")

    monkeypatch.setattr(PortableModel, "recommend", fail)
    failed = run(resources, batch)
    assert (failed.status, failed.attempts_lost) == ("failed", 0)
    assert failed.error is not None
    assert failed.error["code"] == "internal"
    assert "ZeroDivisionError" in failed.error["message"]


def test_damaged_bytes_are_told_as_such(resources: Resources, batch: BatchRecommendation) -> None:
    with resources.database.unit_of_work() as session:
        session.execute(update(BlobChunk).values(data=b"garbage"))
    failed = run(resources, batch)
    assert failed.error is not None
    assert (failed.status, failed.error["code"]) == ("failed", "blob_damaged")
