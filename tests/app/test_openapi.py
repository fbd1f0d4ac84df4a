"""The OpenAPI page: an example, a summary and our errors on every operation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator

from app.datasets.schemas import EXAMPLE, DatasetObject, Format
from worker.training.data.readers.sniff import FORMATS


@pytest.fixture(scope="session")
def document(application: FastAPI) -> dict[str, Any]:
    return application.openapi()


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_operation_has_an_example_of_its_answer(document: dict[str, Any]) -> None:
    without = [
        name
        for name, operation in _operations(document)
        if not any(
            "example" in content or "examples" in content
            for status, response in operation["responses"].items()
            if status.startswith("2")
            for content in response.get("content", {}).values()
        )
    ]
    assert without == []


def test_every_body_has_an_example(document: dict[str, Any]) -> None:
    bodies = [
        (name, operation["requestBody"]["content"])
        for name, operation in _operations(document)
        if "requestBody" in operation
    ]
    assert len(bodies) >= 3
    without = [
        name
        for name, contents in bodies
        if not all({"example", "examples"} & set(c) for c in contents.values())
    ]
    assert without == []


def test_errors_are_problems_everywhere(document: dict[str, Any]) -> None:
    for name, operation in _operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], (name, status)
        if "/v1/" in name:
            assert {"401", "500"} <= set(operation["responses"]), name
            assert operation["security"], name
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_operation_ids_and_summaries(document: dict[str, Any]) -> None:
    operations = dict(_operations(document))
    ids = [operation["operationId"] for operation in operations.values()]
    assert len(ids) == len(set(ids))
    assert operations["POST /v1/datasets"]["operationId"] == "upload_dataset"
    assert operations["GET /v1/datasets"]["summary"] == "List the project's data sets, newest first"
    assert [name for name, operation in operations.items() if not operation.get("description")] == []


def test_references_resolve(document: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            for value in part.values():
                yield from references(value)
        elif isinstance(part, list):
            for value in part:
                yield from references(value)

    assert set(references(document)) <= known


def test_the_data_set_example_is_one() -> None:
    Draft202012Validator(DatasetObject.model_json_schema()).validate(EXAMPLE)


def test_formats_are_those_of_the_readers() -> None:
    assert set(get_args(Format)) == set(FORMATS)
