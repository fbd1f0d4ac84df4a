from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from app.sdk.errors import WebhookVerificationError
from app.sdk.webhooks import verify
from app.webhooks.signing import new_secret, signature, signed_headers

BODY = (
    b'{"type":"job.succeeded","timestamp":"2025-11-23T14:41:07+00:00","data":{"id":"job_1","status":"done"}}'
)
SECRET = new_secret()


def signed(**changed: str) -> dict[str, str]:
    return signed_headers([SECRET], "evt_1", int(time.time()), BODY) | changed


def test_the_specifications_own_example() -> None:
    """The vector that the reference libraries carry in their tests."""
    body = b'{"test": 2432232314}'
    given_ = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body
    )
    assert given_ == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(min_size=16, max_size=64), st.text(max_size=200), st.integers(0, 2**33))
def test_signatures_are_those_of_the_public_library(key: bytes, text: str, at: int) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    body = json.dumps({"text": text}, ensure_ascii=True)
    theirs = Webhook(secret).sign("evt_1", datetime.fromtimestamp(at, UTC), body)
    assert signature(secret, "evt_1", at, body.encode()) == theirs


def test_a_message_is_read() -> None:
    headers = {name.title(): value for name, value in signed().items()}
    message = verify(BODY, headers, SECRET)
    assert (message.id, message.type, message.data["status"]) == ("evt_1", "job.succeeded", "done")
    assert message.timestamp == datetime(2025, 11, 23, 14, 41, 7, tzinfo=UTC)
    assert verify(BODY.decode(), headers, SECRET.removeprefix("whsec_")) == message


def test_one_right_signature_among_several_is_enough() -> None:
    both = signed_headers([new_secret(), SECRET], "evt_1", int(time.time()), BODY)
    assert (
        verify(BODY, both | {"webhook-signature": "v2,x " + both["webhook-signature"]}, SECRET).id == "evt_1"
    )


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"body": BODY + b" "}, "no signature"),
        ({"secret": new_secret()}, "no signature"),
        ({"secret": "not base 64!"}, "not one of a webhook endpoint"),
        ({"headers": signed(**{"webhook-id": "evt_2"})}, "no signature"),
        ({"headers": signed(**{"webhook-timestamp": "1"})}, "no signature"),
        ({"headers": signed(**{"webhook-signature": "v1,"})}, "no signature"),
        ({"headers": {}}, "webhook-id is missing"),
        ({"now": 3600}, "too far away"),
        ({"now": -3600}, "too far away"),
    ],
)
def test_what_is_not_right_is_refused(changed: dict[str, Any], why: str) -> None:
    arguments: dict[str, Any] = {"body": BODY, "headers": signed(), "secret": SECRET} | changed
    if "now" in changed:
        arguments["now"] = time.time() + changed["now"]
    with pytest.raises(WebhookVerificationError, match=why):
        verify(**arguments)
