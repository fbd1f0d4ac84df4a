"""The OpenAPI page: what each operation has to say, and that every example is what it claims to be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator

from app.config import Settings
from app.datasets.schemas import EXAMPLE, DatasetObject, Format
from app.main import create_app
from app.openapi import operations
from worker.training.data.readers.sniff import FORMATS

OPERATION_ID = re.compile(r"[a-z]+(_[a-z]+)*")
OPEN = {"/healthz", "/readyz"}
BINARY = {"type": "string", "format": "binary"}


@pytest.fixture(scope="session")
def document(application: FastAPI) -> dict[str, Any]:
    return application.openapi()


@pytest.fixture(scope="session")
def named(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{method.upper()} {path}": operation for path, method, operation in operations(document)}


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(request or status, media type, content) of everything that goes over the wire."""
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield "request", media_type, content
    for status, response in operation["responses"].items():
        for media_type, content in response.get("content", {}).items():
            yield status, media_type, content


def examples(content: dict[str, Any]) -> list[Any]:
    several = [example["value"] for example in content.get("examples", {}).values()]
    return [*several, *([content["example"]] if "example" in content else [])]


def test_every_operation_says_what_it_does(
    named: dict[str, dict[str, Any]], document: dict[str, Any]
) -> None:
    described = {tag["name"] for tag in document["tags"] if tag["description"]}
    ids = [operation["operationId"] for operation in named.values()]
    assert len(ids) == len(set(ids)) > 50
    for name, operation in named.items():
        assert OPERATION_ID.fullmatch(operation["operationId"]), name
        assert 10 < len(operation["summary"]) < 130, name
        assert operation["description"].startswith(operation["summary"]), name
        assert operation["tags"], name
        assert set(operation["tags"]) <= described, (name, operation["tags"], "app/openapi.py describes tags")
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (name, parameter["name"])
    assert named["POST /v1/datasets"]["operationId"] == "upload_dataset"
    assert named["GET /v1/datasets"]["summary"] == "List the project's data sets, newest first"


def test_every_example_is_what_its_schema_says(
    named: dict[str, dict[str, Any]], document: dict[str, Any]
) -> None:
    def faults(schema: dict[str, Any], example: Any) -> list[str]:
        whole = {**schema, "components": document["components"]}
        validator = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
        return [f"{error.json_path}: {error.message[:120]}" for error in validator.iter_errors(example)]

    wrong: list[str] = []
    for name, operation in named.items():
        for where, media_type, content in contents(operation):
            shown = examples(content)
            if not shown or "schema" not in content:
                wrong.append(f"{name} {where} {media_type}: no example, or no schema")
            for example in shown:
                wrong += [f"{name} {where} {fault}" for fault in faults(content.get("schema", {}), example)]
        for parameter in operation.get("parameters", ()):
            for example in examples(parameter):
                wrong += [
                    f"{name} {parameter['name']} {fault}" for fault in faults(parameter["schema"], example)
                ]
    assert wrong == []


def test_examples_show_nulls_too(named: dict[str, dict[str, Any]]) -> None:
    (change,) = examples(named["PATCH /v1/jobs/{job_id}"]["requestBody"]["content"]["application/json"])
    assert change["labels"]["draft"] is None
    (job,) = examples(named["GET /v1/jobs/{job_id}"]["responses"]["200"]["content"]["application/json"])
    assert job["ended_at"] is None


def test_every_operation_has_all_its_errors(named: dict[str, dict[str, Any]]) -> None:
    for name, operation in named.items():
        method, path = name.split(" ", 1)
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], (name, status)
                (example,) = examples(response["content"]["application/problem+json"])
                assert example["status"] == int(status), (name, status)
                assert example["title"] != "Internal error" or status == "500", (name, status)
        if path in OPEN:
            assert not operation.get("security"), name
            continue
        needed = {"401", "403", "429", "500", "503"}
        needed |= {"404"} if "{" in path else set()
        needed |= {"409", "422"} if method == "POST" else set()
        media_types = operation.get("requestBody", {}).get("content", {})
        read = method == "POST" or bool(media_types)  # of a POST it is also where none is taken
        whole = read and (not media_types or "application/json" in media_types)
        of_a_body = ({"413", "415"} if read else set()) | ({"408"} if whole else set())
        assert {"408", "413", "415"} & set(operation["responses"]) == of_a_body, name
        assert not read or method in {"POST", "PUT", "PATCH"}, f"{name}: BodyLimitMiddleware passes it over"
        needed |= {"422"} if read else set()
        needed |= {"422"} if any(p["in"] == "query" for p in operation.get("parameters", ())) else set()
        assert needed <= set(operation["responses"]), (name, needed - set(operation["responses"]))
        assert operation["security"] == [{"HTTPBearer": []}], name


def test_metrics_need_a_key_unless_they_are_public(
    named: dict[str, dict[str, Any]], settings: Settings
) -> None:
    assert {"401", "403", "503"} <= set(named["GET /metrics"]["responses"])
    public = create_app(settings.model_copy(update={"metrics_public": True})).openapi()
    assert "security" not in public["paths"]["/metrics"]["get"]


def test_headers_that_errors_come_with(named: dict[str, dict[str, Any]], document: dict[str, Any]) -> None:
    known = set(document["components"]["headers"])
    for name, operation in named.items():
        for status, response in operation["responses"].items():
            assert "X-Request-Id" in response["headers"], (name, status)
            for header in ("WWW-Authenticate",) if status == "401" else ():
                assert header in response["headers"], (name, status)
            for header in ("Accept-Encoding",) if status == "415" else ():
                assert header in response["headers"], (name, status)
            for header in ("Retry-After",) if status in {"429", "503"} else ():
                assert header in response["headers"], (name, status)
            for shown in response["headers"].values():
                assert shown.get("$ref", "#/components/headers/X-Request-Id").rsplit("/", 1)[1] in known


def test_what_is_not_json_is_described(named: dict[str, dict[str, Any]]) -> None:
    other: dict[str, set[str]] = {}
    for name, operation in named.items():
        for where, media_type, content in contents(operation):
            if not media_type.endswith("json"):
                other.setdefault(media_type, set()).add(f"{name} {where}")
                assert content["schema"].get("type") in {"string", "object"}, (name, media_type)
                if media_type in {"application/octet-stream", "application/zip"}:
                    assert content["schema"] == BINARY, (name, media_type)
        if "304" in operation["responses"]:
            given = {p["name"].lower() for p in operation["parameters"] if p["in"] == "header"}
            assert "if-none-match" in given, name
            assert "ETag" in operation["responses"]["200"]["headers"], name
        if "206" in operation["responses"]:
            assert "range" in {p["name"].lower() for p in operation["parameters"]}, name
            assert "Content-Range" in operation["responses"]["206"]["headers"], name
            assert "Content-Range" in operation["responses"]["416"]["headers"], name
            full, part = (operation["responses"][status]["content"] for status in ("200", "206"))
            assert list(full) == list(part), name
            assert all(content["schema"] == BINARY for content in part.values()), name
    assert {"application/octet-stream", "application/zip", "image/svg+xml", "multipart/form-data"} <= set(
        other
    )
    assert {"text/event-stream", "text/html", "text/markdown"} <= set(other)


def test_references_resolve(document: dict[str, Any]) -> None:
    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            for value in part.values():
                yield from references(value)
        elif isinstance(part, list):
            for value in part:
                yield from references(value)

    for reference in set(references(document)):
        part: Any = document
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"


def test_the_page_is_made_once(application: FastAPI) -> None:
    assert application.openapi() is application.openapi()


def test_the_data_set_example_is_one() -> None:
    Draft202012Validator(DatasetObject.model_json_schema()).validate(EXAMPLE)


def test_formats_are_those_of_the_readers() -> None:
    assert set(get_args(Format)) == set(FORMATS)


def test_lists_of_settings_name_no_value_twice(document: dict[str, Any]) -> None:
    of_attacks = ("attack_positions", "attack_counts", "attack_replacements")
    schemas = document["components"]["schemas"]
    for schema, names in {
        "JobCreate": ("arms", "seeds", *of_attacks),
        "EvaluationCreate": of_attacks,
    }.items():
        for name in names:
            assert schemas[schema]["properties"][name]["uniqueItems"] is True, (schema, name)
