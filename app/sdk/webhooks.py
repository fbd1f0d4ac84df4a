"""Verifying the webhooks that a service sends: Standard Webhooks 1.0, symmetric signatures (`v1`).

from app.sdk.webhooks import verify

message = verify(request.body, request.headers, "whsec_…")
if message.type == "job.succeeded":
    job = client.jobs.get(message.data["id"])

A message may come twice, under the same `id`, and in any order.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.sdk.errors import WebhookVerificationError

TOLERANCE_SECONDS = 300.0
_PREFIX = "whsec_"


@dataclass(frozen=True)
class WebhookMessage:
    """What happened: `data` names the thing (id, object, status), the service tells the rest."""

    id: str
    type: str
    timestamp: datetime
    data: Mapping[str, Any]


def verify(
    body: bytes | str,
    headers: Mapping[str, str],
    secret: str,
    *,
    tolerance: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> WebhookMessage:
    """The message, if it was signed with the secret, a short while ago.

    Args:
        body: The body exactly as it arrived: parsed and written again it has another signature.
        headers: The request's headers, in any case.
        secret: The endpoint's, with or without `whsec_`.
        tolerance: Seconds that the time of signing may be away, either way.
        now: Unix seconds, in place of this machine's clock.

    Raises:
        WebhookVerificationError: Headers are missing, no signature is right, or the time is too far away.

    """
    raw = body.encode() if isinstance(body, str) else body
    given = {name.lower(): value for name, value in headers.items()}
    try:
        identity, at = given["webhook-id"], given["webhook-timestamp"]
        signatures = given["webhook-signature"].split(" ")
    except KeyError as missing:
        raise WebhookVerificationError(f"the header {missing.args[0]} is missing") from None
    expected = _signature(_key(secret), identity, at, raw)
    # Every one is compared: after a rotation there are two.
    matches = [hmac.compare_digest(expected, signature.encode()) for signature in signatures]
    if not any(matches):
        raise WebhookVerificationError("no signature matches the secret and the body")
    if not at.isascii() or not at.isdigit():
        raise WebhookVerificationError("webhook-timestamp is not a time")
    if abs((time.time() if now is None else now) - int(at)) > tolerance:
        raise WebhookVerificationError(
            "the time of signing is too far away: it may be an old message, repeated"
        )
    parsed = json.loads(raw)
    return WebhookMessage(
        id=identity,
        type=str(parsed["type"]),
        timestamp=datetime.fromisoformat(parsed["timestamp"]),
        data=dict(parsed["data"]),
    )


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise WebhookVerificationError("the secret is not one of a webhook endpoint (whsec_…)") from None


def _signature(key: bytes, identity: str, at: str, body: bytes) -> bytes:
    signed = b".".join((identity.encode(), at.encode(), body))
    return b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
