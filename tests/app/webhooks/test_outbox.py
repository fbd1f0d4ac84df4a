"""From a state change to a verified message: what the outbox holds, and what it does not."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from standardwebhooks import Webhook

from app.datasets import validation
from app.db.models.job import Job
from app.db.models.job_event import JobEvent
from app.db.models.webhook_delivery import WebhookDelivery
from app.db.models.webhook_endpoint import WebhookEndpoint
from app.db.session import Database
from app.jobs.claims import claim
from app.jobs.life import Status, move
from app.jobs.steering import cancel
from app.storage.database import DatabaseBlobStore
from tests.factories import make_dataset
from tests.waiting import wait_for_a_waiting_request


def cancel_job(post: Any, job_id: str) -> None:
    with post.database.unit_of_work() as session:
        cancel(session, post.project_id, job_id)


def test_a_jobs_end_arrives_and_the_public_library_verifies_it(post: Any, receiver: Any) -> None:
    _, secret = post.endpoint(receiver.url, "job.cancelled")
    job_id = post.submit()
    cancel_job(post, job_id)
    assert post.deliver() == 1
    (message,) = receiver.received
    body = Webhook(secret).verify(message.body, message.headers)
    with post.database.unit_of_work() as session:
        event = session.execute(
            select(JobEvent).where(JobEvent.job_id == job_id).order_by(JobEvent.sequence.desc()).limit(1)
        ).scalar_one()
    assert body == {
        "type": "job.cancelled",
        "timestamp": event.created_at.isoformat(),
        "data": {"id": job_id, "object": "job", "status": "cancelled", "sequence": event.sequence},
    }
    assert message.headers["webhook-id"] == event.id
    assert message.headers["content-type"] == "application/json"
    (delivery,) = post.deliveries()
    assert (delivery.status, delivery.next_attempt_at, delivery.lease_until) == ("succeeded", None, None)
    assert [(entry["n"], entry["status_code"], entry["error"]) for entry in delivery.attempts] == [
        (1, 204, None)
    ]
    assert post.deliver() == 0


def test_every_move_on_the_way_is_told_and_only_to_those_who_asked(
    post: Any, database: Database, blobs: DatabaseBlobStore
) -> None:
    everything, _ = post.endpoint("http://a.example/")
    ends, _ = post.endpoint("http://b.example/", "job.succeeded", "job.failed")
    with database.unit_of_work() as session:
        from app.accounts.service import project_id  # noqa: PLC0415

        other = project_id(session, "other")
    post.endpoint("http://c.example/", project_id=other)
    off, _ = post.endpoint("http://d.example/")
    with database.unit_of_work() as session:
        session.get_one(WebhookEndpoint, off).enabled = False
    job_id = post.submit()
    with database.unit_of_work() as session:
        assert claim(session, job_id, worker="w@host", lease=timedelta(seconds=30))
    with database.unit_of_work() as session:
        error = {"code": "internal", "message": "it broke", "hint": None}
        move(session, session.get_one(Job, job_id), Status.FAILED, message="It broke.", error=error)
    told = [(row.endpoint_id, row.type) for row in post.deliveries()]
    assert told == [
        (everything, "job.queued"),
        (everything, "job.started"),
        (everything, "job.failed"),
        (ends, "job.failed"),
    ]


def test_a_data_set_that_was_read_is_told(post: Any, database: Database, blobs: DatabaseBlobStore) -> None:
    post.endpoint("http://a.example/")
    with database.unit_of_work() as session:
        dataset = make_dataset(session, blobs)
        claimed = validation.claim_validation(session, dataset.id, lease_seconds=60)
        assert claimed is not None
        assert validation.reject(session, claimed, [])
        assert not validation.reject(session, claimed, [])  # no longer its claim: nothing happened
    (row,) = post.deliveries("dataset.rejected")
    assert json.loads(row.body)["data"] == {"id": dataset.id, "object": "dataset", "status": "rejected"}


def test_what_is_rolled_back_sends_nothing(post: Any, database: Database, receiver: Any) -> None:
    post.endpoint(receiver.url, "job.cancelled")
    job_id = post.submit()
    with database.sessions() as session:
        cancel(session, post.project_id, job_id)
        assert session.execute(select(func.count()).select_from(WebhookDelivery)).scalar_one() == 1
        session.rollback()
    assert (post.deliver(), receiver.received) == (0, [])


def test_an_endpoint_that_is_being_deleted_breaks_no_jobs_transaction(post: Any, database: Database) -> None:
    endpoint_id, _ = post.endpoint("http://a.example/", "job.cancelled")
    job_id = post.submit()
    with database.sessions() as deleting:
        deleting.delete(deleting.get_one(WebhookEndpoint, endpoint_id))
        deleting.flush()
        thread = threading.Thread(target=cancel_job, args=(post, job_id))
        thread.start()
        wait_for_a_waiting_request(database)  # for the deletion's end
        deleting.commit()
        thread.join(60)
    with database.unit_of_work() as session:
        assert session.get_one(Job, job_id).status == "cancelled"
    assert post.deliveries() == []
