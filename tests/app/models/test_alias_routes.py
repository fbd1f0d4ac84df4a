"""Names, aliases and gates over real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.accounts.service import create_key
from app.db.models.model import Model
from app.db.session import Database
from app.models.names import hold_name
from app.storage.database import DatabaseBlobStore
from tests.problems import problem
from tests.stored_models import CARD, store_models
from tests.waiting import wait_for_a_waiting_request

NAME = "films-sasrec-cascade"
PRODUCTION = f"/v1/models/{NAME}/aliases/production"


def figures(ndcg: float, kept: float | None = 0.8) -> dict[str, Any]:
    row = {"position": "end", "count": 1, "replacement": "uniform", "n": 9, "ndcg@10": 0.1, "kept": kept}
    other = {**row, "count": 3, "kept": 0.3}
    return {"test": {"ndcg@10": ndcg}, "validation": {"hr@10": 0.5}, "attacks": [other, row]}


Store = Callable[..., str]


@pytest.fixture
def store(database: Database, blobs: DatabaseBlobStore) -> Store:
    """Store the next version with these figures; returns its id."""

    def one(ndcg: float = 0.2, kept: float | None = 0.8, **given: Any) -> str:
        (model_id,) = store_models(database, blobs, metrics=figures(ndcg, kept), **given)
        return model_id

    return one


@pytest.fixture
def submitter(client: httpx.Client, database: Database) -> dict[str, str]:
    """Headers of a key that may submit, but is no admin's."""
    with database.unit_of_work() as session:
        _, secret = create_key(session, name="ci", scopes=["submit"])
    return {"Authorization": f"Bearer {secret}"}


def put(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.put(PRODUCTION, json=body)


def ok(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_an_alias_points_moves_and_remembers(client: httpx.Client, store: Store) -> None:
    first, second = store(), store()
    problem(client.get(PRODUCTION), 404, "alias_not_found")
    made = ok(put(client, version=1))
    assert (made["object"], made["model"], made["version"], made["gates"]) == ("model.alias", first, 1, [])
    moved = ok(put(client, model=second))
    assert [(m["from_version"], m["to_version"], m["forced"]) for m in moved["history"]] == [
        (1, 2, False),
        (None, 1, False),
    ]
    assert all(move["api_key"].startswith("key_") for move in moved["history"])
    assert ok(put(client, version=2)) == moved  # there already: no move
    listed = ok(client.get(f"/v1/models/{NAME}/aliases?limit=1"))
    assert [alias["alias"] for alias in listed["data"]] == ["production"]
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == ("production", "production", False)
    assert ok(client.get(f"/v1/models/{NAME}/aliases?after=production"))["data"] == []
    assert ok(client.get(f"/v1/models/{second}"))["aliases"] == ["production"]
    assert ok(client.get(f"/v1/models/{first}"))["aliases"] == []
    assert ok(client.delete(PRODUCTION))["deleted"] is True
    problem(client.get(PRODUCTION), 404, "alias_not_found")
    again = ok(put(client, version=1))
    assert [(m["from_version"], m["to_version"]) for m in again["history"]] == [
        (None, 1),
        (2, None),
        (1, 2),
        (None, 1),
    ]


def test_a_reference_does_as_an_id(client: httpx.Client, store: Store) -> None:
    first, second = store(), store()
    put(client, version=1)
    for reference, expected in (("production", first), ("1", first), ("2", second), ("latest", second)):
        assert ok(client.get(f"/v1/models/{NAME}@{reference}"))["id"] == expected
    asked = client.post(f"/v1/models/{NAME}@production/recommend", json={"history": ["i1"], "k": 2})
    assert len(ok(asked)["data"][0]["items"]) == 2
    card = client.get(f"/v1/models/{NAME}@production/card")
    assert (card.text, card.headers["content-type"]) == (CARD, "text/markdown; charset=utf-8")
    for reference in ("staging", "3", ""):
        problem(client.get(f"/v1/models/{NAME}@{reference}"), 404, "model_not_found")
    for query, expected in (
        ({"alias": "production"}, [first]),
        ({"version": 2}, [second]),
        ({}, [second, first]),
    ):
        listed = ok(client.get("/v1/models", params={"name": NAME, **query}))["data"]
        assert [model["id"] for model in listed] == expected


def test_a_model_with_an_alias_is_not_deleted_or_renamed(client: httpx.Client, store: Store) -> None:
    model_id = store()
    put(client, version=1)
    job = ok(client.get(f"/v1/models/{model_id}"))["job"]
    for response, pointer in (
        (client.delete(f"/v1/models/{model_id}"), "path:model_id"),
        (client.delete(f"/v1/jobs/{job}?models=true"), "?models"),
        (client.patch(f"/v1/models/{model_id}", json={"name": "other"}), "path:model_id"),
    ):
        refused = problem(response, 409, "model_in_use")
        assert (refused["used_by"], refused["errors"][0]["pointer"]) == ([f"{NAME}@production"], pointer)
    client.delete(PRODUCTION)
    assert ok(client.delete(f"/v1/jobs/{job}?models=true"))["models"] == [model_id]


def test_renaming_a_model_waits_for_who_moves_an_alias_of_that_name(
    client: httpx.Client, database: Database, store: Store
) -> None:
    store()
    other = store(name="books")
    with ThreadPoolExecutor(1) as pool:
        with database.unit_of_work() as session:
            held = session.execute(select(Model).where(Model.id == other)).scalar_one()
            assert hold_name(session, held.project_id, NAME)
            answer = pool.submit(client.patch, f"/v1/models/{other}", json={"name": NAME}, timeout=100)
            wait_for_a_waiting_request(database)
            # Whoever moves the alias goes on to the model; the one who waits must not have it.
            session.execute(select(Model.id).where(Model.id == other).with_for_update(nowait=True))
        assert ok(answer.result())["version"] == 2


def test_versions_are_never_given_twice(client: httpx.Client, store: Store) -> None:
    store()
    second = store()
    client.delete(f"/v1/models/{second}")
    third = ok(client.get(f"/v1/models/{store()}"))
    assert third["version"] == 3
    renamed = ok(client.patch(f"/v1/models/{third['id']}", json={"name": "next film"}))
    assert (renamed["name"], renamed["version"]) == ("next film", 1)
    assert ok(client.get("/v1/models/next film@1"))["id"] == third["id"]
    for name in ("a/b", "a@b", "", " a", "a\n"):
        problem(client.patch(f"/v1/models/{third['id']}", json={"name": name}), 422, "invalid_request")


def test_a_gate_refuses_and_says_by_how_much(client: httpx.Client, store: Store) -> None:
    store(0.2), store(0.15, kept=0.5)
    put(client, version=1)
    conditions = [
        {"metric": "test.ndcg@10", "at_least": 0.1, "at_least_of_current": 0.9},
        {"metric": "attacked.kept", "at_least": 0.75},
        {"metric": "validation.hr@10", "at_most": 0.5},
    ]
    for validate in ("", "?validate_only=true"):
        response = client.put(PRODUCTION + validate, json={"version": 2, "promote_if": conditions})
        refused = problem(response, 409, "gate_refused")
        assert [(error["pointer"], error["code"], error["got"]) for error in refused["errors"]] == [
            ("/promote_if/0/at_least_of_current", "at_least_of_current", 0.15),
            ("/promote_if/1/at_least", "at_least", 0.5),
        ]
        misses = [(one["needed"], one["missing_by"]) for one in refused["checks"] if not one["passed"]]
        assert misses == [(pytest.approx(0.18), pytest.approx(0.03)), (0.75, 0.25)]
        assert "0.03 below it" in refused["detail"]
    assert ok(client.get(PRODUCTION))["version"] == 1
    conditions[0]["at_least_of_current"] = 0.7
    conditions[1] = {"metric": "attacked.kept", "count": 3, "at_least": 0.25}
    would = ok(client.put(f"{PRODUCTION}?validate_only=true", json={"version": 2, "promote_if": conditions}))
    assert (would["valid"], would["from_version"], would["version"]) == (True, 1, 2)
    assert ok(client.get(PRODUCTION))["version"] == 1
    moved = ok(put(client, version=2, promote_if=conditions))
    assert moved["version"] == 2
    assert [one["passed"] for one in moved["history"][0]["checks"]] == [True] * 4


def test_a_gate_that_cannot_be_checked_does_not_pass(client: httpx.Client, store: Store) -> None:
    store(kept=None), store()
    put(client, version=1)
    for body in (
        {"version": 1, "promote_if": [{"metric": "attacked.kept", "at_least": 0.0}]},
        {"version": 2, "promote_if": [{"metric": "attacked.kept", "at_least_of_current": 0.5}]},
        {"version": 2, "promote_if": [{"metric": "test.mrr@77", "at_least": 0.0}]},
    ):
        refused = problem(put(client, **body), 409, "gate_refused")
        assert [error["code"] for error in refused["errors"]] == ["metric_missing"]


def test_figures_of_different_protocols_are_not_compared(client: httpx.Client, store: Store) -> None:
    store(), store(protocol_hash="protocol 2")
    relative = [{"metric": "test.ndcg@10", "at_least_of_current": 0.5}]
    put(client, version=1)
    refused = problem(put(client, version=2, promote_if=relative), 409, "mixed_protocol")
    assert (refused["protocol_hash"], refused["current_protocol_hash"]) == ("protocol 2", "protocol 1")
    assert "allow_mixed_protocol" in refused["hint"]
    absolute = [{"metric": "test.ndcg@10", "at_least": 0.1}]
    assert ok(client.put(f"{PRODUCTION}?validate_only=true", json={"version": 2, "promote_if": absolute}))
    assert ok(put(client, version=2, promote_if=relative, allow_mixed_protocol=True))["version"] == 2


def test_kept_gates_hold_for_later_moves_and_only_admins_pass_them_by(
    client: httpx.Client, submitter: dict[str, str], store: Store
) -> None:
    store(0.2), store(0.1)
    gate = {"metric": "test.ndcg@10", "at_least": 0.15}
    kept = ok(client.put(PRODUCTION, json={"version": 1, "promote_if": [gate], "keep_gates": True}))
    (shown,) = kept["gates"]
    assert shown.items() >= gate.items()
    refused = problem(client.put(PRODUCTION, json={"version": 2}, headers=submitter), 409, "gate_refused")
    assert refused["errors"][0]["pointer"] == "alias:gates/0/at_least"
    for body in ({"version": 2, "force": True}, {"version": 2, "keep_gates": True}):
        problem(client.put(PRODUCTION, json=body, headers=submitter), 403, "insufficient_scope")
    problem(client.delete(PRODUCTION, headers=submitter), 403, "insufficient_scope")
    forced = ok(client.put(PRODUCTION, json={"version": 2, "force": True}))
    assert (forced["version"], forced["gates"]) == (2, [shown])
    assert (forced["history"][0]["forced"], forced["history"][0]["checks"][0]["passed"]) == (True, False)
    assert ok(client.put(PRODUCTION, json={"version": 1, "keep_gates": True}))["gates"] == []


def test_of_many_moves_at_once_each_stands_in_the_history(client: httpx.Client, store: Store) -> None:
    store(), store(), store()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda i: put(client, version=1 + i % 3), range(12)))
    assert {answer.status_code for answer in answers} == {200}
    history = ok(client.get(PRODUCTION))["history"]
    (listed,) = ok(client.get(f"/v1/models/{NAME}/aliases"))["data"]
    assert listed["history"] == history[:1]
    for newer, older in pairwise(history):
        assert newer["from_version"] == older["to_version"]
        assert newer["from_version"] != newer["to_version"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"version": 1, "model": "mdl_x"},
        {"version": 0},
        {"version": 1, "promote_if": [{"metric": "test.ndcg@10"}]},
        {"version": 1, "promote_if": [{"metric": "ndcg", "at_least": 1}]},
        {"version": 1, "promote_if": [{"metric": "test.ndcg@10", "at_least": 1, "atleast": 1}]},
        {"version": 1, "promote_if": [{"metric": "test.ndcg@10", "at_least_of_current": 0}]},
    ],
)
def test_a_request_that_makes_no_sense_is_refused(client: httpx.Client, body: dict[str, Any]) -> None:
    problem(client.put(PRODUCTION, json=body), 422, "invalid_request")


def test_what_is_not_there_is_not_found(
    client: httpx.Client, stranger_headers: dict[str, str], store: Store
) -> None:
    store()
    other = store(name="books")
    problem(client.put("/v1/models/none/aliases/a", json={"version": 1}), 404, "model_name_not_found")
    problem(client.get("/v1/models/none/aliases"), 404, "model_name_not_found")
    problem(put(client, version=9), 404, "model_not_found")
    problem(put(client, model="mdl_x"), 404, "model_not_found")
    found = problem(put(client, model=other), 422, "other_name")
    assert found["errors"][0]["pointer"] == "/model"
    for alias in ("latest", "3", "Upper", "a b"):
        problem(client.put(f"/v1/models/{NAME}/aliases/{alias}", json={"version": 1}), 422, "invalid_request")
    put(client, version=1)
    for response in (
        client.put(PRODUCTION, json={"version": 1}, headers=stranger_headers),
        client.get(f"/v1/models/{NAME}/aliases", headers=stranger_headers),
    ):
        problem(response, 404, "model_name_not_found")
    problem(client.get(PRODUCTION, headers=stranger_headers), 404, "alias_not_found")
    problem(client.get(f"/v1/models/{NAME}@production", headers=stranger_headers), 404, "model_not_found")
