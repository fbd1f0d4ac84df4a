"""The types of what the SDK hands on as plain dicts say what the service's OpenAPI document says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, get_args, get_overloads, get_type_hints, is_typeddict

import pytest

from app.config import Settings
from app.main import create_app
from app.openapi import operations
from app.sdk.aliases import ModelAliases
from app.sdk.answers.models import Condition
from app.sdk.client import SteadyRank
from app.sdk.comparisons import ComparedThing, Comparison, MetricDifference, ProtocolDifference
from app.sdk.datasets import Datasets
from app.sdk.evaluations import Evaluations
from app.sdk.job_records import JobRecords
from app.sdk.jobs import Jobs
from app.sdk.keys import ApiKeys
from app.sdk.models import Models
from app.sdk.objects.capabilities import Capabilities
from app.sdk.objects.datasets import Dataset
from app.sdk.objects.jobs import Job
from app.sdk.objects.models import Alias, Model
from app.sdk.projects import Projects
from app.sdk.uploads import Uploads
from app.sdk.webhook_endpoints import WebhookEndpoints
from tests.typed_json import faults

METHODS: dict[str, Callable[..., Any]] = {
    "healthz": SteadyRank.alive,
    "readyz": SteadyRank.health,
    "get_dataset_report": Datasets.report,
    "preview_dataset": Datasets.preview,
    "delete_dataset": Datasets.delete,
    "abandon_upload": Uploads.abandon,
    "delete_job": Jobs.delete,
    "delete_model": Models.delete,
    "delete_model_recommendations": Models.delete_batch,
    "delete_model_alias": ModelAliases.delete_alias,
    "delete_evaluation": Evaluations.delete,
    "delete_webhook_endpoint": WebhookEndpoints.delete,
}
OBJECTS: dict[type, tuple[str, set[str]]] = {
    Job: ("JobObject", {"queue", "attempts", "status_history", "estimate"}),
    Dataset: ("DatasetObject", {"lineage", "used_by"}),
    Model: ("ModelObject", {"warnings"}),
    Alias: ("AliasObject", {"history"}),
    Capabilities: ("Capabilities", {"estimates"}),
}
CLASSES = (SteadyRank, Datasets, Uploads, Jobs, Models, Evaluations, WebhookEndpoints, ApiKeys, Projects)


@cache
def document() -> dict[str, Any]:
    settings = Settings(database_url="postgresql://nobody@localhost/none", redis_url="redis://localhost/0")
    return create_app(settings).openapi()


def returned(method: Callable[..., Any]) -> Any:
    """What it returns; of a method with a `format`, as JSON."""
    return get_type_hints((get_overloads(method) or [method])[0])["return"]


def parts(hint: Any) -> Iterator[Any]:
    yield hint
    for part in get_args(hint):
        yield from parts(part)


@pytest.mark.parametrize("operation", METHODS)
def test_what_a_method_hands_on(operation: str) -> None:
    (found,) = (one for _, _, one in operations(document()) if one["operationId"] == operation)
    schema = found["responses"]["200"]["content"]["application/json"]["schema"]
    assert list(faults(returned(METHODS[operation]), schema, document(), complete=True)) == []


@pytest.mark.parametrize("kind", OBJECTS)
def test_parts_of_an_object(kind: type) -> None:
    name, typed = OBJECTS[kind]
    hints = get_type_hints(kind)
    assert typed == {field for field in hints if any(map(is_typeddict, parts(hints[field])))}
    assert typed <= {field.name for field in dataclasses.fields(kind)}
    properties = document()["components"]["schemas"][name]["properties"]
    wrong = [faults(hints[field], properties[field], document(), complete=True) for field in typed]
    assert [fault for found in wrong for fault in found] == []


def test_answers_and_conditions_of_an_alias() -> None:
    schemas = document()["components"]["schemas"]
    hint = returned(ModelAliases.check_alias)
    assert list(faults(hint, schemas["AliasValidation"], document(), complete=True)) == []
    assert list(faults(Condition, schemas["Condition"], document())) == []


@pytest.mark.parametrize(
    ("method", "component", "named"),
    [
        (Jobs.create, "JobCreate", {"dataset"}),
        (Jobs.validate, "JobCreate", {"dataset"}),
        (Evaluations.create, "EvaluationCreate", {"model", "dataset", "name"}),
    ],
)
def test_settings_are_taken_by_name(method: Callable[..., Any], component: str, named: set[str]) -> None:
    (settings,) = get_args(get_type_hints(method)["settings"])
    schema = document()["components"]["schemas"][component]
    left = {name: field for name, field in schema["properties"].items() if name not in named}
    assert list(faults(settings, {"type": "object", "properties": left}, document())) == []


@pytest.mark.parametrize(
    ("kind", "component"),
    [
        (Comparison, "Comparison"),
        (ComparedThing, "ComparedOther"),
        (MetricDifference, "MetricDifference"),
        (ProtocolDifference, "ProtocolDifference"),
    ],
)
def test_a_comparison_has_all_fields(kind: type, component: str) -> None:
    properties = document()["components"]["schemas"][component]["properties"]
    assert {field.name for field in dataclasses.fields(kind)} - {"raw"} == properties.keys() - {"object"}


def test_every_method_says_what_it_returns() -> None:
    """But for the manifest, which is for `steadyrank train` to read."""
    methods = {
        method
        for kind in CLASSES
        for name in dir(kind)
        if not name.startswith("_") and callable(method := getattr(kind, name))
    }
    assert len(methods) > 70
    assert {one for one in methods if Any in parts(returned(one))} == {JobRecords.manifest}
