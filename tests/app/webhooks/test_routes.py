"""Endpoints and their log over HTTP, the SDK and the command."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text
from standardwebhooks import Webhook, WebhookVerificationError
from typer.testing import CliRunner

from app.cli import main
from app.db.models.webhook_endpoint import WebhookEndpoint
from app.db.session import Database
from app.log_lines import redact
from app.sdk.client import SteadyRank
from app.sdk.errors import ConflictError, NotFoundError, ValidationFailedError
from app.webhooks import service as webhooks

URL = "https://8.8.8.8/hook"


def test_an_endpoint_is_made_changed_and_deleted(client: httpx.Client, database: Database) -> None:
    made = client.post("/v1/webhook_endpoints", json={"url": URL, "events": ["job.failed", "job.failed"]})
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    endpoint = made.json()
    secret = endpoint.pop("secret")
    assert len(Webhook(secret)._whsecret) == 32
    assert redact(f"it is {secret}!") == "it is whsec_***!"
    path = made.headers["location"]
    assert client.get(path).json() == endpoint
    assert endpoint | {"id": None, "created_at": None} == {
        "id": None,
        "object": "webhook_endpoint",
        "url": URL,
        "events": ["job.failed"],
        "description": None,
        "enabled": True,
        "disabled_reason": None,
        "failing_since": None,
        "previous_secret_until": None,
        "created_at": None,
    }
    assert client.get("/v1/webhook_endpoints?limit=1").json()["data"] == [endpoint]
    changed = client.patch(path, json={"events": ["*"], "description": "all", "enabled": False}).json()
    assert changed == endpoint | {"events": ["*"], "description": "all", "enabled": False}
    assert client.patch(path, json={"description": None}).json()["description"] is None
    with database.unit_of_work() as session:
        row = session.get_one(WebhookEndpoint, endpoint["id"])
        row.disabled_reason, row.failing_since = "failing", row.created_at
    back = client.patch(path, json={"enabled": True}).json()
    assert (back["enabled"], back["disabled_reason"], back["failing_since"]) == (True, None, None)
    assert client.delete(path).json() == {
        "id": endpoint["id"],
        "object": "webhook_endpoint",
        "deleted": True,
        "freed_bytes": 0,
    }
    gone = client.get(path)
    assert (gone.status_code, gone.json()["code"]) == (404, "webhook_endpoint_not_found")


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"url": "http://127.0.0.1:5432/"}, "/url", "address_refused"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "/url", "address_refused"),
        ({"url": "http://localhost/"}, "/url", "address_refused"),
        ({"url": "gopher://8.8.8.8/"}, "/url", "invalid_url"),
        ({"url": URL, "events": ["job.exploded"]}, "/events/0", None),
        ({"url": URL, "events": ["*", "job.failed"]}, "/events", None),
        ({"url": URL, "events": []}, "/events", None),
        ({"url": URL, "secret": "mine"}, "/secret", "unknown_field"),
    ],
)
def test_what_cannot_be_registered_says_why(
    client: httpx.Client, body: dict[str, Any], pointer: str, code: str | None
) -> None:
    refused = client.post("/v1/webhook_endpoints", json=body)
    problem = refused.json()
    assert refused.status_code == 422
    assert problem["errors"][0]["pointer"].startswith(pointer)
    assert code in {None, problem["errors"][0]["code"]}
    assert client.get("/v1/webhook_endpoints").json()["data"] == []


def test_an_address_is_checked_when_it_is_changed(client: httpx.Client) -> None:
    path = client.post("/v1/webhook_endpoints", json={"url": URL}).headers["location"]
    refused = client.patch(path, json={"url": "http://10.0.0.1/"})
    assert (refused.status_code, refused.json()["code"]) == (422, "address_refused")
    assert client.get(path).json()["url"] == URL


def test_another_project_sees_nothing(client: httpx.Client, stranger_headers: dict[str, str]) -> None:
    path = client.post("/v1/webhook_endpoints", json={"url": URL}).headers["location"]
    delivery = client.post(f"{path}/test").json()["id"]
    for method, at in (
        ("GET", path),
        ("PATCH", path),
        ("DELETE", path),
        ("POST", f"{path}/test"),
        ("POST", f"{path}/rotate"),
        ("GET", f"{path}/deliveries"),
        ("GET", f"{path}/deliveries/{delivery}"),
        ("POST", f"{path}/deliveries/{delivery}/redeliver"),
    ):
        body = {"json": {}} if method == "PATCH" else {}
        assert client.request(method, at, headers=stranger_headers, **body).status_code == 404  # type: ignore[arg-type]
    assert client.get("/v1/webhook_endpoints", headers=stranger_headers).json()["data"] == []


def test_a_repeated_request_makes_one_and_does_not_show_the_secret_again(
    client: httpx.Client, database: Database
) -> None:
    headers = {"Idempotency-Key": "once"}
    first = client.post("/v1/webhook_endpoints", json={"url": URL}, headers=headers).json()
    second = client.post("/v1/webhook_endpoints", json={"url": URL}, headers=headers).json()
    assert second == first | {"secret": None}
    with database.unit_of_work() as session:
        kept = session.execute(
            text("SELECT string_agg(encode(body, 'escape'), '') FROM kept_answers")
        ).scalar_one()
    assert first["secret"] not in kept


def test_a_project_has_not_any_number_of_them(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MOST_ENDPOINTS", 1)
    assert client.post("/v1/webhook_endpoints", json={"url": URL}).status_code == 201
    refused = client.post("/v1/webhook_endpoints", json={"url": URL})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_endpoints")


def test_a_test_event_fails_is_redelivered_and_logged(post: Any, receiver: Any, service: SteadyRank) -> None:
    endpoint = service.webhook_endpoints.create(receiver.url, events=["dataset.ready"])
    receiver.answer(500, 204, body=b"out of order")
    queued = service.webhook_endpoints.test(endpoint)
    assert (queued.status, queued.type, queued.attempts) == ("pending", "webhook.test", ())
    assert post.deliver() == 1
    failed = service.webhook_endpoints.delivery(queued)
    assert (failed.status, failed.next_attempt_at) == ("failed", None)  # a test is sent once
    (attempt,) = failed.attempts
    assert (attempt.n, attempt.status_code, attempt.response, attempt.error) == (
        1,
        500,
        "out of order",
        "the receiver answered 500",
    )
    assert service.webhook_endpoints.get(endpoint).failing_since is None  # and says nothing of the endpoint
    again = service.webhook_endpoints.redeliver(failed)
    assert again.status == "pending"
    assert post.deliver() == 1
    (logged,) = service.webhook_endpoints.deliveries(endpoint, status="succeeded", type="webhook.test")
    assert [(one.n, one.status_code) for one in logged.attempts] == [(1, 500), (2, 204)]
    assert list(service.webhook_endpoints.deliveries(endpoint, status="failed")) == []
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == logged.webhook_id
    assert first.body == second.body
    assert json.loads(second.body) == logged.body
    assert endpoint.secret is not None
    Webhook(endpoint.secret).verify(second.body, second.headers)


def test_after_a_rotation_both_secrets_sign_for_a_day(
    post: Any, receiver: Any, service: SteadyRank, database: Database
) -> None:
    endpoint = service.webhook_endpoints.create(receiver.url)
    rotated = service.webhook_endpoints.rotate(endpoint)
    assert rotated.previous_secret_until is not None
    assert endpoint.secret is not None
    assert rotated.secret is not None
    assert endpoint.secret != rotated.secret
    assert rotated.secret not in repr(rotated)
    assert service.webhook_endpoints.get(endpoint).secret is None
    service.webhook_endpoints.test(endpoint)
    assert post.deliver() == 1
    (message,) = receiver.received
    assert len(message.headers["webhook-signature"].split(" ")) == 2
    for secret in (endpoint.secret, rotated.secret):
        assert Webhook(secret).verify(message.body, message.headers)["type"] == "webhook.test"
    with database.unit_of_work() as session:
        row = session.execute(select(WebhookEndpoint)).scalar_one()
        assert row.previous_secret_until is not None
        row.previous_secret_until -= timedelta(days=1)
    service.webhook_endpoints.test(endpoint)
    assert post.deliver() == 1
    message = receiver.received[1]
    Webhook(rotated.secret).verify(message.body, message.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint.secret).verify(message.body, message.headers)


def test_nothing_is_sent_to_what_is_switched_off(post: Any, receiver: Any, service: SteadyRank) -> None:
    endpoint = service.webhook_endpoints.create(receiver.url)
    delivery = service.webhook_endpoints.test(endpoint)
    service.webhook_endpoints.update(endpoint, enabled=False)
    post.submit()
    assert (post.deliver(), receiver.received) == (0, [])
    for ask in (
        lambda: service.webhook_endpoints.test(endpoint),
        lambda: service.webhook_endpoints.redeliver(delivery),
    ):
        with pytest.raises(ConflictError) as refused:
            ask()
        assert refused.value.code == "webhook_endpoint_disabled"
    service.webhook_endpoints.update(endpoint, enabled=True)
    assert post.deliver() == 1  # what was due; the job meanwhile was not written down
    service.webhook_endpoints.delete(endpoint)
    with pytest.raises(NotFoundError):
        service.webhook_endpoints.delivery(delivery)


def test_an_unknown_delivery_says_so(service: SteadyRank, receiver: Any) -> None:
    endpoint = service.webhook_endpoints.create(receiver.url)
    with pytest.raises(NotFoundError) as missing:
        service.webhook_endpoints.redeliver("dlv_nothing", endpoint=endpoint)
    assert missing.value.code == "delivery_not_found"
    with pytest.raises(ValidationFailedError):
        list(service.webhook_endpoints.deliveries(endpoint, type="no.such.event"))


def test_the_command(
    post: Any, receiver: Any, service: SteadyRank, api_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEADYRANK_URL", service.base_url)
    monkeypatch.setenv("STEADYRANK_API_KEY", api_key)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main.app, ["webhooks", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    made = CliRunner().invoke(main.app, ["webhooks", "create", receiver.url, "--event", "job.failed"])
    assert made.stdout.startswith("whsec_")  # alone on stdout, for scripts
    (endpoint,) = json.loads(run("list", "--json"))
    identity = endpoint["id"]
    assert identity in made.stderr
    assert "job.failed" in run("list")
    assert receiver.url in run("show", identity)
    assert "webhook.test" in run("test", identity)
    assert post.deliver() == 1
    assert "succeeded" in run("deliveries", identity, "--status", "succeeded")
    (delivery,) = json.loads(run("deliveries", identity, "--json"))
    assert "is pending" in run("redeliver", identity, delivery["id"])
    assert "no" in run("update", identity, "--off")
    assert run("rotate", identity).startswith("whsec_")
    nothing = CliRunner().invoke(main.app, ["webhooks", "update", identity])
    assert (nothing.exit_code, "nothing to change" in nothing.stderr) == (2, True)
    assert "is deleted" in run("delete", identity)
