"""Loaded by schemathesis: what would end the run is left out, and so is what no schema can say."""

from __future__ import annotations

import os
from typing import Any

import schemathesis
from schemathesis.core.transport import Response

KEPT = frozenset(os.environ.get("FUZZ_KEPT", "").split())
SAID_BY_THE_SCHEMA = "invalid_request"
OF_NO_SCHEMA = {"invalid", "in_the_past", "without_validate_only", "no_ratings", "no_times"}
OF_JSON = {"MalformedJson", "JsonSchemaError"}
_replayed: set[str] = set()


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """Leave out what would end the run: revoking its key, changing its project."""
    del context
    named: dict[str, Any] = case.path_parameters or {}
    return case.method in {"GET", "HEAD"} or KEPT.isdisjoint(map(str, named.values()))


@schemathesis.hook
def after_call(context: schemathesis.HookContext, case: schemathesis.Case, response: Response) -> None:
    """Remember what an earlier answer to the same `Idempotency-Key` names: it may be gone since."""
    del context, case
    if "idempotency-replayed" in response.headers:
        _replayed.add(str(response.json().get("id")))


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext, failure: Exception, case: schemathesis.Case, response: Response
) -> bool:
    """Whether it is one: a valid request may be refused for what it names, sends, or combines.

    Such as an item that the model does not know, a data set without ratings, bytes with another digest, or
    neither of two fields. What is no HTTP is refused by the HTTP server before the application sees it, and
    has no id. A part that Range asked for has the media type of the whole (RFC 9110, 15.3.7): some bytes of a
    JSON text are bytes to the page, and would have to be JSON to the check. What a replayed 201 names may
    have been deleted since.
    """
    del context
    kind = type(failure).__name__
    if response.status_code == 206 and kind in OF_JSON:
        return False
    named: dict[str, Any] = case.path_parameters or {}
    if kind == "EnsureResourceAvailability" and not _replayed.isdisjoint(map(str, named.values())):
        return False
    if response.status_code == 400 and "x-request-id" not in response.headers:
        return False
    if kind != "RejectedPositiveData":
        return True
    problem = response.json()
    codes = {item["code"] for item in problem["errors"]}
    return problem["code"] == SAID_BY_THE_SCHEMA and not codes <= OF_NO_SCHEMA
