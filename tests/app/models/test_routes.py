"""Models over real HTTP: files, and what they recommend."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from app.db.models.model_file import ModelFile
from app.db.session import Database
from app.models.loaded import LoadedModels
from app.storage.database import DatabaseBlobStore
from tests.problems import problem
from tests.stored_models import model_files, store_models
from worker.training.portable import PortableModel, load_model


@pytest.fixture
def model_id(database: Database, blobs: DatabaseBlobStore) -> str:
    (model_id,) = store_models(database, blobs)
    return model_id


@pytest.fixture
def local() -> PortableModel:
    return load_model(model_files())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/mdl_x"),
        ("GET", "/mdl_x/files/a"),
        ("POST", "/mdl_x/recommend"),
        ("DELETE", "/mdl_x"),
    ],
)
def test_without_a_key_nothing(anonymous: httpx.Client, method: str, path: str) -> None:
    problem(anonymous.request(method, f"/v1/models{path}"), 401, "unauthorized")


def test_a_model_shows_what_it_is_and_its_files(client: httpx.Client, model_id: str) -> None:
    model = client.get(f"/v1/models/{model_id}").json()
    assert (model["object"], model["arm"], model["seed"]) == ("model", "cascade", 0)
    assert (model["name"], model["version"], model["aliases"]) == ("films-sasrec-cascade", 1, [])
    assert model["job"].startswith("job_")
    assert model["dataset"].startswith("ds_")
    assert model["metrics"] == {"test": {"ndcg@10": 0.2}}
    files = {file["path"]: file for file in model["files"]}
    for path, content in model_files().items():
        assert files[path]["bytes"] == len(content)
        assert files[path]["sha256"] == hashlib.sha256(content).hexdigest()
        response = client.get(f"/v1/models/{model_id}/files/{path}")
        assert response.content == content
        assert response.headers["content-length"] == str(len(content))
        assert response.headers["etag"] == f'"{files[path]["sha256"]}"'
        part = client.get(f"/v1/models/{model_id}/files/{path}", headers={"Range": "bytes=3-9"})
        assert (part.status_code, part.content) == (206, content[3:10])
    problem(client.get(f"/v1/models/{model_id}/files/other.bin"), 404, "model_file_not_found")


def test_versions_count_by_name_and_lists_are_filtered(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore, model_id: str
) -> None:
    arms = ("standard", "cascade")
    standard, cascade = store_models(database, blobs, arms=arms)
    listed = client.get("/v1/models").json()["data"]
    assert [(m["id"], m["name"], m["version"]) for m in listed] == [
        (cascade, "films-sasrec-cascade", 2),
        (standard, "films-sasrec-standard", 1),
        (model_id, "films-sasrec-cascade", 1),
    ]
    job = listed[0]["job"]
    of_job = client.get(f"/v1/models?job={job}").json()["data"]
    assert [model["id"] for model in of_job] == [cascade, standard]
    assert [m["id"] for m in client.get(f"/v1/models?job={job}&arm=standard").json()["data"]] == [standard]


def test_another_projects_model_is_not_there(
    client: httpx.Client, stranger_headers: dict[str, str], model_id: str
) -> None:
    path = f"/v1/models/{model_id}"
    body = {"history": ["i1"]}
    for response in (
        client.get(path, headers=stranger_headers),
        client.get(f"{path}/files/config.json", headers=stranger_headers),
        client.post(f"{path}/recommend", json=body, headers=stranger_headers),
        client.delete(path, headers=stranger_headers),
    ):
        problem(response, 404, "model_not_found")
    assert client.get("/v1/models", headers=stranger_headers).json()["data"] == []


def recommended(client: httpx.Client, model_id: str, **body: Any) -> list[list[tuple[str, float]]]:
    response = client.post(f"/v1/models/{model_id}/recommend", json=body)
    assert response.status_code == 200, response.text
    return [[(row["item"], row["score"]) for row in one["items"]] for one in response.json()["data"]]


def test_recommendations_are_the_downloaded_models(
    client: httpx.Client, model_id: str, local: PortableModel
) -> None:
    history = ["i1", "i2", "i3"]
    assert recommended(client, model_id, history=history, k=4) == [local.recommend(history, 4)]
    assert recommended(client, model_id, history=history, exclude_seen=False) == [
        local.recommend(history, 10, exclude_seen=False)
    ]
    several = [history, ["i5"], ["i0"] * 9]
    assert recommended(client, model_id, sequences=several, k=3) == [local.recommend(h, 3) for h in several]
    what_if = recommended(client, model_id, history=history, k=5, replace={"-1": "i7", "0": "i8"})
    assert what_if == [local.recommend(history, 5, replace={-1: "i7", 0: "i8"})]
    assert what_if != recommended(client, model_id, history=history, k=5)


def test_unknown_items_are_named_where_they_stand(client: httpx.Client, model_id: str) -> None:
    body = {"sequences": [["i1"], ["i2", "nope", "i3"]], "replace": {"0": "neither"}}
    found = problem(client.post(f"/v1/models/{model_id}/recommend", json=body), 422, "unknown_item")
    assert [error["pointer"] for error in found["errors"]] == ["/replace/0"]  # of the first history
    found = problem(
        client.post(f"/v1/models/{model_id}/recommend", json={"sequences": [["i1"], ["i2", "nope"]]}),
        422,
        "unknown_item",
    )
    assert [(error["pointer"], error["got"]) for error in found["errors"]] == [("/sequences/1/1", "nope")]
    assert "items.json" in found["hint"]
    found = problem(
        client.post(f"/v1/models/{model_id}/recommend", json={"history": ["nope"]}), 422, "unknown_item"
    )
    assert found["errors"][0]["pointer"] == "/history/0"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_request"),
        ({"history": ["i1"], "sequences": [["i1"]]}, "invalid_request"),
        ({"history": []}, "invalid_request"),
        ({"sequences": [[]]}, "invalid_request"),
        ({"history": ["i1"], "k": 0}, "invalid_request"),
        ({"history": ["i1"], "kk": 1}, "invalid_request"),
        ({"history": ["i1"], "replace": {"x": "i2"}}, "invalid_request"),
        ({"history": ["i1"], "replace": {"1": "i2"}}, "no_such_position"),
        ({"history": ["i1"], "replace": {"-2": "i2"}}, "no_such_position"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    client: httpx.Client, model_id: str, body: dict[str, Any], code: str
) -> None:
    problem(client.post(f"/v1/models/{model_id}/recommend", json=body), 422, code)


def test_deleting_frees_the_bytes_and_the_memory(client: httpx.Client, model_id: str) -> None:
    recommended(client, model_id, history=["i1"])
    deleted = client.delete(f"/v1/models/{model_id}").json()
    assert deleted["freed_bytes"] == sum(map(len, model_files().values()))
    problem(client.delete(f"/v1/models/{model_id}"), 404, "model_not_found")
    problem(client.post(f"/v1/models/{model_id}/recommend", json={"history": ["i1"]}), 404, "model_not_found")


def test_memory_keeps_the_models_used_last() -> None:
    files = model_files()
    loaded = LoadedModels(largest_bytes=2 * sum(map(len, files.values())))
    for name in ("a", "b"):
        loaded.load(name, files)
    assert loaded.get("a") is not None
    loaded.load("c", files)
    assert [name for name in "abc" if loaded.get(name) is not None] == ["a", "c"]
    small = LoadedModels(largest_bytes=1)
    small.load("a", files)
    assert small.get("a") is not None


def test_capabilities_name_every_choice_and_the_live_workers(
    client: httpx.Client, anonymous: httpx.Client
) -> None:
    problem(anonymous.get("/v1/capabilities"), 401, "unauthorized")
    found = client.get("/v1/capabilities").json()
    assert [model["name"] for model in found["models"]] == ["sasrec", "gru4rec"]
    arms = [arm["name"] for arm in found["arms"]]
    assert arms == ["standard", "adversarial", "cascade", "cascade_replacement"]
    presets = {preset["name"]: preset["settings"] for preset in found["presets"]}
    assert presets["paper"]["sasrec"]["loss"] == "bce"
    assert presets["strong"].keys() == {"sasrec", "gru4rec"}
    assert found["spec"]["properties"]["epochs"]["default"] == 400
    assert found["spec"]["properties"]["gamma"]["description"]
    assert "csv" in found["formats"]
    assert found["limits"]["max_epochs"] == 10_000
    assert (found["workers"], found["devices"]) == ([], [])


def test_a_model_that_cannot_be_read_is_told_as_such(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore, model_id: str
) -> None:
    with database.unit_of_work() as session:
        broken = blobs.put(session, b"{}")
        session.execute(
            update(ModelFile)
            .where(ModelFile.model_id == model_id, ModelFile.path == "config.json")
            .values(blob_id=broken.id)
        )
    answer = client.post(f"/v1/models/{model_id}/recommend", json={"history": ["i1"]})
    problem(answer, 500, "model_unreadable")


def test_a_cold_model_is_loaded_once_however_many_ask(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model_id,) = store_models(database, blobs)
    loaded: list[str] = []
    load = LoadedModels.load

    def slowly(self: LoadedModels, model_id: str, files: Mapping[str, bytes]) -> PortableModel:
        loaded.append(model_id)
        time.sleep(0.3)  # the others come meanwhile
        return load(self, model_id, files)

    monkeypatch.setattr(LoadedModels, "load", slowly)
    with ThreadPoolExecutor(6) as pool:
        ask = partial(client.post, f"/v1/models/{model_id}/recommend", json={"history": ["i1"]})
        answers = [one.result() for one in [pool.submit(ask) for _ in range(6)]]
    assert {answer.status_code for answer in answers} == {200}
    assert loaded == [model_id]


def test_an_answer_has_so_many_items_and_no_more(client: httpx.Client, model_id: str) -> None:
    body = {"sequences": [["i1"]] * 256, "k": 1000}
    refused = problem(client.post(f"/v1/models/{model_id}/recommend", json=body), 422, "invalid_request")
    assert "256,000 items; at most 50,000 are" in refused["detail"]
