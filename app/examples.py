"""What examples on the OpenAPI page have in common: ids, list objects, and how a route shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DATASET_ID = "ds_01k9z3v5m8qpx7c2h4t6w0ynrb"
JOB_ID = "job_01k9z4c7r2x5m8qpv3h6t0w9ny"
CHECKPOINT_ID = "ckpt_01k9z4d3v5m8qpx7c2h4t6w0yn"
MODEL_ID = "mdl_01k9z4fq8h2t6w0ynrbv5m3px7"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def listed(item: dict[str, Any]) -> dict[str, Any]:
    """A list object with that one item."""
    return {
        "object": "list",
        "data": [item],
        "first_id": item["id"],
        "last_id": item["id"],
        "has_more": False,
    }


def shown(
    example: Any, status: int = 200, *, others: Mapping[str, Any] | None = None
) -> dict[int | str, dict[str, Any]]:
    """The `responses=` entry of an example; `others` are what else is answered, by media type."""
    return {status: {"content": {"application/json": {"example": example}, **(others or {})}}}
