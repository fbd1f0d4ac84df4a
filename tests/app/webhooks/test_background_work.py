"""Evaluations and batches of recommendations tell of their end, once, in the transaction that ends them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, update

from app.config import Settings
from app.db.models.batch_recommendation import BatchRecommendation
from app.db.models.evaluation import Evaluation
from app.db.session import Database
from app.evaluations import life
from app.evaluations import service as evaluations
from app.evaluations.schemas import EvaluationCreate
from app.models import batches
from app.models.batch_schemas import BatchCreate
from app.storage.database import DatabaseBlobStore
from tests.stored_models import store_models


@pytest.fixture
def model_id(database: Database, blobs: DatabaseBlobStore) -> str:
    (model_id,) = store_models(database, blobs)
    return model_id


def told(post: Any) -> list[tuple[str, Any]]:
    return [(row.type, json.loads(row.body)["data"]) for row in post.deliveries()]


def ask_evaluation(post: Any, model_id: str) -> str:
    with post.database.unit_of_work() as session:
        asked = EvaluationCreate(model=model_id, dataset=post.dataset_id)
        return evaluations.create(session, post.settings, post.project_id, asked).id


def ask_batch(post: Any, model_id: str) -> str:
    with post.database.unit_of_work() as session:
        asked = BatchCreate(dataset=post.dataset_id)
        return batches.create(session, post.settings, post.project_id, model_id, asked).id


def test_an_evaluation_tells_how_it_ended(post: Any, database: Database, model_id: str) -> None:
    post.endpoint("http://a.example/", "evaluation.failed", "evaluation.cancelled")
    failing, waiting = ask_evaluation(post, model_id), ask_evaluation(post, model_id)
    with database.unit_of_work() as session:
        claimed = life.claim(session, failing, lease_seconds=30)
        assert claimed is not None
        life.fail(session, claimed, code="no_known_items", message="None is known.", hint="Take others.")
    for _ in range(2):
        with database.unit_of_work() as session:
            evaluations.cancel(session, post.project_id, waiting)
    assert told(post) == [
        ("evaluation.failed", {"id": failing, "object": "evaluation", "status": "failed"}),
        ("evaluation.cancelled", {"id": waiting, "object": "evaluation", "status": "cancelled"}),
    ]


def test_a_batch_tells_how_it_ended(
    post: Any, database: Database, blobs: DatabaseBlobStore, model_id: str
) -> None:
    post.endpoint("http://a.example/")
    done, failed = ask_batch(post, model_id), ask_batch(post, model_id)
    with database.unit_of_work() as session:
        claimed = batches.claim(session, done, lease_seconds=30)
        assert claimed is not None
        assert batches.renew(session, claimed, users_done=1, lease_seconds=30)
        assert batches.succeed(session, claimed, blobs.put(session, b"PAR1PAR1"), {"users": 2})
        assert not batches.fail(session, claimed, code="late", message="Too late.", hint="")
    with database.unit_of_work() as session:
        claimed = batches.claim(session, failed, lease_seconds=30)
        assert claimed is not None
        assert batches.fail(session, claimed, code="no_known_items", message="None.", hint="Others.")
    facts = {"object": "model.recommendations", "model": model_id}
    assert told(post) == [
        ("recommendations.succeeded", {"id": done, "status": "succeeded", **facts}),
        ("recommendations.failed", {"id": failed, "status": "failed", **facts}),
    ]


def test_what_the_reaper_gives_up_is_told_too(
    post: Any, database: Database, settings: Settings, model_id: str
) -> None:
    post.endpoint("http://a.example/")
    evaluation, batch = ask_evaluation(post, model_id), ask_batch(post, model_id)
    once = settings.model_copy(update={"max_attempts": 1})
    with database.unit_of_work() as session:
        assert life.claim(session, evaluation, lease_seconds=30)
        assert batches.claim(session, batch, lease_seconds=30)
        past = func.clock_timestamp() - timedelta(seconds=1)
        session.execute(update(Evaluation).values(lease_until=past))
        session.execute(update(BatchRecommendation).values(lease_until=past))
    with database.unit_of_work() as session:
        assert life.recover_evaluations(session, once) == 1
        assert batches.recover_batches(session, once) == 1
    assert [type for type, _ in told(post)] == ["evaluation.failed", "recommendations.failed"]
