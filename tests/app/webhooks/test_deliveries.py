"""What becomes of a delivery: claims, waits, giving up."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from app.config import Settings
from app.db.models.project import Project
from app.db.models.webhook_delivery import WebhookDelivery
from app.db.models.webhook_endpoint import WebhookEndpoint
from app.db.session import Database
from app.webhooks.deliveries import claim_due, forget_deliveries, lease, queue_again, settle
from app.webhooks.sending import Outcome

FAILED = Outcome(0.1, 500, "no", "the receiver answered 500")
DONE = Outcome(0.1, 204)


@pytest.fixture
def pending(post: Any) -> WebhookDelivery:
    """A delivery that is due."""
    post.endpoint("http://a.example/", "job.queued")
    post.submit()
    (delivery,) = post.deliveries()
    assert isinstance(delivery, WebhookDelivery)
    return delivery


@pytest.fixture
def work(database: Database) -> Iterator[Session]:
    with database.unit_of_work() as session:
        yield session


def attempt(post: Any, outcome: Outcome, **changed: Any) -> WebhookDelivery:
    """Make one attempt at the one delivery that is due, with this outcome; returns it as it is then."""
    settings = post.settings.model_copy(update=changed)
    with post.database.unit_of_work() as session:
        claimed = claim_due(session, settings)
    assert claimed is not None
    with post.database.unit_of_work() as session:
        assert settle(session, claimed, outcome, settings)
        return session.get_one(WebhookDelivery, claimed.delivery_id)


def waits(post: Any, delivery: WebhookDelivery) -> float:
    with post.database.unit_of_work() as session:
        now = session.execute(select(func.now())).scalar_one()
    assert delivery.next_attempt_at is not None
    return (delivery.next_attempt_at - now).total_seconds()


def test_a_failing_receiver_is_tried_again_with_growing_waits_and_given_up(
    post: Any, pending: WebhookDelivery
) -> None:
    schedule = (10.0, 100.0, 1000.0)
    for wait in schedule:
        row = attempt(post, FAILED, webhook_retry_seconds=schedule)
        assert row.status == "pending"
        assert wait / 2 <= waits(post, row) <= 1.1 * wait
        assert post.deliver() == 0  # not before its time
        post.make_due()
    row = attempt(post, FAILED, webhook_retry_seconds=schedule)
    assert (row.status, row.next_attempt_at, row.attempt) == ("failed", None, 4)
    assert [entry["n"] for entry in row.attempts] == [1, 2, 3, 4]
    assert row.attempts[0] | {"at": None} == {
        "n": 1,
        "at": None,
        "milliseconds": 100,
        "status_code": 500,
        "response": "no",
        "error": "the receiver answered 500",
    }
    assert post.endpoint_row(pending.endpoint_id).failing_since is not None
    assert post.endpoint_row(pending.endpoint_id).enabled
    with post.database.unit_of_work() as session:
        queue_again(session, session.get_one(WebhookDelivery, row.id, with_for_update=True))
    again = attempt(post, FAILED, webhook_retry_seconds=schedule)
    assert again.status == "pending"  # with all its waits anew
    post.make_due()
    assert attempt(post, DONE).status == "succeeded"
    assert post.endpoint_row(pending.endpoint_id).failing_since is None


def test_a_receiver_that_asks_for_longer_is_left_alone_for_longer(
    post: Any, pending: WebhookDelivery
) -> None:
    asked = Outcome(0.1, 503, "", "the receiver answered 503", retry_after=3600.0)
    assert 3500 < waits(post, attempt(post, asked)) <= 3600


def test_the_one_who_claimed_it_and_died_is_replaced_after_the_lease(
    post: Any, pending: WebhookDelivery
) -> None:
    with post.database.unit_of_work() as session:
        lost = claim_due(session, post.settings)
    assert lost is not None
    with post.database.unit_of_work() as session:
        assert claim_due(session, post.settings) is None  # somebody has it
        expired = func.clock_timestamp() - timedelta(milliseconds=1)
        session.execute(update(WebhookDelivery).values(lease_until=expired))
    with post.database.unit_of_work() as session:
        next_one = claim_due(session, post.settings)
    assert next_one is not None
    assert (next_one.attempt, next_one.event_id, next_one.body) == (2, lost.event_id, lost.body)
    with post.database.unit_of_work() as session:
        assert not settle(session, lost, FAILED, post.settings)  # it comes too late
        assert settle(session, next_one, DONE, post.settings)


def test_asking_for_what_is_just_being_sent_changes_nothing(post: Any, pending: WebhookDelivery) -> None:
    with post.database.unit_of_work() as session:
        claimed = claim_due(session, post.settings)
        assert claimed is not None
        queue_again(session, session.get_one(WebhookDelivery, pending.id, with_for_update=True))
    with post.database.unit_of_work() as session:
        assert claim_due(session, post.settings) is None
        assert settle(session, claimed, DONE, post.settings)


def test_several_deliverers_take_each_delivery_once_and_one_at_a_time_from_an_endpoint(
    post: Any, database: Database
) -> None:
    for host in ("a", "b"):
        post.endpoint(f"http://{host}.example/", "job.queued")
    post.submit()
    post.submit()
    with database.sessions() as first, database.sessions() as second:
        one, two = claim_due(first, post.settings), claim_due(second, post.settings)
        assert one is not None
        assert two is not None
        assert one.delivery_id != two.delivery_id  # the first one's row is locked
        first.commit()
        second.commit()
    with database.unit_of_work() as session:
        third = claim_due(session, post.settings)
    in_flight = {one.endpoint_id, two.endpoint_id} | ({third.endpoint_id} if third else set())
    assert len(in_flight) == 2
    with database.unit_of_work() as session:
        assert claim_due(session, post.settings) is None


def test_slow_receivers_of_one_project_leave_a_slot_to_the_others(post: Any, database: Database) -> None:
    for host in "abc":
        post.endpoint(f"http://{host}.example/", "job.queued")
    post.submit()
    with database.unit_of_work() as session:
        other = Project(name="another")
        session.add(other)
        session.flush()
        theirs = WebhookEndpoint(
            project_id=other.id, url="http://d.example/", events=["job.queued"], secret="x" * 32
        )
        session.add(theirs)
        session.flush()
        late = WebhookDelivery(endpoint_id=theirs.id, type="job.queued", event_id="evt_x", body="{}")
        session.add(late)
        their_id = theirs.id
    settings = post.settings.model_copy(update={"webhook_concurrency": 3})
    taken = []
    for _ in range(4):
        with database.unit_of_work() as session:
            claimed = claim_due(session, settings)
            taken.append(None if claimed is None else claimed.endpoint_id)
    assert taken[2:] == [their_id, None]


def test_a_lease_is_longer_than_an_attempt() -> None:
    settings = Settings(webhook_timeout_seconds=60, lease_seconds=1)
    assert lease(settings) > timedelta(seconds=60)


def test_410_switches_the_endpoint_off_and_the_others_are_told(
    post: Any, receiver: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gone, secret = post.endpoint(receiver.url, "job.queued")
    watcher, _ = post.endpoint("http://b.example/", "webhook_endpoint.disabled")
    receiver.answer(410)
    post.submit()
    post.submit()
    with caplog.at_level(logging.INFO):
        assert post.deliver(webhook_concurrency=1) >= 1
    row = post.endpoint_row(gone)
    assert (row.enabled, row.disabled_reason) == (False, "gone")
    assert [
        (d.endpoint_id, json.loads(d.body)["data"]) for d in post.deliveries("webhook_endpoint.disabled")
    ] == [(watcher, {"id": gone, "object": "webhook_endpoint", "status": "disabled", "reason": "gone"})]
    assert [d.status for d in post.deliveries("job.queued")] == ["failed", "pending"]  # the second one waits
    assert len(receiver.received) == 1
    assert f"webhook endpoint {gone} is switched off: gone" in caplog.text
    assert secret not in caplog.text


@pytest.mark.parametrize(("days", "stays"), [(4, True), (6, False)])
def test_an_endpoint_that_fails_for_days_is_switched_off(
    post: Any, pending: WebhookDelivery, days: int, stays: bool
) -> None:
    with post.database.unit_of_work() as session:
        endpoint = session.get_one(WebhookEndpoint, pending.endpoint_id)
        endpoint.failing_since = session.execute(select(func.now())).scalar_one() - timedelta(days=days)
    attempt(post, FAILED, webhook_retry_seconds=(1.0,))
    assert post.endpoint_row(pending.endpoint_id).enabled  # the delivery still has an attempt before it
    post.make_due()
    attempt(post, FAILED, webhook_retry_seconds=(1.0,))
    row = post.endpoint_row(pending.endpoint_id)
    assert (row.enabled, row.disabled_reason) == (stays, None if stays else "failing")


def test_old_deliveries_are_forgotten(post: Any, pending: WebhookDelivery) -> None:
    attempt(post, DONE)
    post.submit()
    with post.database.unit_of_work() as session:
        assert forget_deliveries(session, post.settings) == 0
        session.execute(text("UPDATE webhook_deliveries SET created_at = created_at - interval '31 days'"))
        session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.id == pending.id)
            .values(ended_at=WebhookDelivery.ended_at - timedelta(days=31))
        )
        assert forget_deliveries(session, post.settings) == 1
    assert [row.status for row in post.deliveries()] == ["pending"]
