"""A secret whose one answer was lost is an error that says what to do."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from app.sdk.client import SteadyRank
from app.sdk.errors import SecretLostError

REPLAYED = {"Idempotency-Replayed": "true"}


@pytest.mark.parametrize(
    ("made", "make", "remedy"),
    [
        ("key_1", lambda c: c.api_keys.create("ci"), "Revoke key_1"),
        ("prj_1", lambda c: c.projects.create("search"), "Delete prj_1"),
        ("whk_1", lambda c: c.webhook_endpoints.create("https://a.test"), "Rotate the secret of whk_1"),
        ("whk_1", lambda c: c.webhook_endpoints.rotate("whk_1"), "Rotate whk_1 again"),
    ],
)
def test_a_secret_that_got_lost_is_no_object_without_one(
    script, client, made: str, make: Callable[[SteadyRank], object], remedy: str
) -> None:
    script.answers = [
        httpx.ReadError("cut"),
        httpx.Response(201, json={"id": made, "secret": None}, headers=REPLAYED),
    ]
    with pytest.raises(SecretLostError, match=made) as caught:
        make(client)
    assert caught.value.id == made
    assert remedy in caught.value.hint
