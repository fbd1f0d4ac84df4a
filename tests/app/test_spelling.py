from __future__ import annotations

from typing import Any

import httpx
import pytest

GATE = {"metric": "test.ndcg@10", "at_leest": 0.5}


@pytest.mark.parametrize(
    ("method", "path", "body", "pointer", "begins"),
    [
        ("POST", "/v1/jobs", {"dataset": "ds_1", "epoch": 5}, "/epoch", "Did you mean 'epochs'? Remove it"),
        ("POST", "/v1/jobs", {"dataset": "ds_1", "zzzzzz": 5}, "/zzzzzz", "Remove it"),
        (
            "PUT",
            "/v1/models/m/aliases/a",
            {"version": 1, "promote_if": [GATE]},
            "/promote_if/0/at_leest",
            "Did you mean 'at_least'?",
        ),
        (
            "POST",
            "/v1/jobs",
            {"dataset": "ds_1", "arms": "standard,cascade"},
            "/arms",
            'Send a list: ["standard", "cascade"]',
        ),
    ],
)
def test_the_hint_names_what_was_meant(
    client: httpx.Client, *, method: str, path: str, body: dict[str, Any], pointer: str, begins: str
) -> None:
    answer = client.request(method, path, json=body)
    assert answer.status_code == 422, answer.text
    (item,) = answer.json()["errors"]
    assert item["pointer"] == pointer
    assert item["hint"].startswith(begins)
    assert "tuple" not in item["message"]
