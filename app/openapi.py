"""The OpenAPI page: what is true of every operation is said here once, so that no route can forget it."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.idempotency import describe_idempotency
from app.problems import Problem, problem_responses

TAGS = {
    "datasets": "Logs of interactions: uploaded, read and checked, then trained on.",
    "uploads": "Files in parts, for what is too large or a line too shaky for one request.",
    "jobs": "Training runs: submitted, watched, steered, and what they reported.",
    "checkpoints": "States that are kept of a job.",
    "models": "What jobs made: files, names, versions and aliases, and what a model recommends.",
    "evaluations": "Stored models, attacked and measured without training.",
    "webhooks": "Where this service tells about what happens.",
    "api keys": "Who may do what; all of it needs the scope `admin`.",
    "projects": "What belongs together: keys, quotas and what is in use.",
    "usage": "What a project has used, and how much it may.",
    "capabilities": "What this service can do.",
    "health": "Is it alive, and is everything there that it needs (without a key); figures for Prometheus.",
}
_OF_PATHS = {
    "name": "The name of what is asked for; a list of the same things shows those that there are.",
    "path": "A file's path, as the model's `files[]` lists it.",
    "alias": "Such as `production`.",
}
_EVERYWHERE = (401, 403, 422, 500, 503)
_OF_A_BODY = (413, 415)
_OF_A_BODY_READ_WHOLE = (408, *_OF_A_BODY)
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {"description": "Names this request in the log.", "schema": {"type": "string"}},
    "WWW-Authenticate": {"description": "How to show a key.", "schema": {"type": "string"}},
    "Accept-Encoding": {"description": "What is decoded here.", "schema": {"type": "string"}},
    "Location": {"description": "Where it is.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}},
}
_RANGE_PARAMETERS = {
    "If-None-Match": "The `ETag` of an earlier answer: 304 while it still holds.",
    "Range": "`bytes=first-last`, both counted from 0: 206 with that part.",
    "If-Range": "The `ETag` to which `Range` belongs: the whole, if it is another one.",
}
_RANGE_HEADERS = {
    "ETag": "Names these bytes.",
    "Accept-Ranges": "`bytes`",
    "Content-Range": "`bytes first-last/all`",
}
_HEADERS_OF = {
    "401": "WWW-Authenticate",
    "403": "WWW-Authenticate",
    "415": "Accept-Encoding",
    "201": "Location",
    "429": "Retry-After",
    "503": "Retry-After",
}
_JSON = "application/json"


def describe_openapi(app: FastAPI) -> None:
    """Let the page show our errors, not the framework's, and everything that operations have in common."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            _name_the_parts(document)
            _show_examples_as_given(app, document)
            if not app.state.settings.metrics_public:
                metrics = document["paths"]["/metrics"]["get"]
                metrics["security"] = [{"HTTPBearer": []}]  # asked for before any route is looked for
                _document(metrics["responses"], 503)
            for path, method, operation in operations(document):
                _complete(path, method, operation)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every (path, method in small letters, operation) of an OpenAPI document."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _name_the_parts(document: dict[str, Any]) -> None:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for framework_schema in ("HTTPValidationError", "ValidationError"):
        schemas.pop(framework_schema, None)
    for schema in schemas.values():
        schema.pop("examples", None)  # the framework takes nulls out of them, and operations have their own
    _name_keys(schemas)
    ours = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(ours.pop("$defs"))
    schemas["Problem"] = ours
    components["headers"] = copy.deepcopy(_HEADERS)
    used = {tag for _, _, operation in operations(document) for tag in operation["tags"]}
    document["tags"] = [{"name": name, "description": TAGS[name]} for name in TAGS if name in used]


def _name_keys(part: Any) -> None:
    """Say of a mapping's keys what pydantic means: keys of that pattern, and no others."""
    if isinstance(part, dict):
        patterns = part.get("patternProperties")
        if isinstance(patterns, dict) and len(patterns) == 1 and "additionalProperties" not in part:
            ((pattern, values),) = part.pop("patternProperties").items()
            part.update(propertyNames={"pattern": pattern}, additionalProperties=values)
    for below in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _name_keys(below)


def _show_examples_as_given(app: FastAPI, document: dict[str, Any]) -> None:
    """Put examples back in: the framework takes every null out of them, and an example shows all fields."""
    for route in iter_route_contexts(app.routes):
        shown = document["paths"].get(route.path_format, {})
        for method in route.methods or ():
            operation = shown.get(method.lower())
            if operation is None or getattr(route, "include_in_schema", False) is False:
                continue
            for status, response in route.responses.items():
                for media_type, content in response.get("content", {}).items():
                    _copy_examples(content, operation["responses"][str(status)]["content"][media_type])
            field = route.body_field
            given = getattr(field and field.field_info, "openapi_examples", None)
            if given:
                _copy_examples({"examples": given}, operation["requestBody"]["content"][_JSON])


def _copy_examples(given: dict[str, Any], shown: dict[str, Any]) -> None:
    for key in ("example", "examples"):
        if key in given:
            shown[key] = copy.deepcopy(given[key])


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    operation["summary"] = operation["description"].split("\n")[0].removesuffix(".")
    if _JSON in responses.get("422", {}).get("content", {}):  # the framework's own
        del responses["422"]
    if path.startswith("/v1/"):
        _document(responses, *_EVERYWHERE, *_of_body(method, operation))
        if method == "post":
            describe_idempotency(operation)
    if "304" in responses:
        _describe_conditions(operation)
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            parameter.setdefault("description", _of_path(parameter["name"]))
    for status, response in responses.items():
        headers = response.setdefault("headers", {})
        for name in ("X-Request-Id", _HEADERS_OF.get(status)):
            if name is not None:
                headers.setdefault(name, {"$ref": f"#/components/headers/{name}"})
    operation["responses"] = dict(sorted(responses.items()))


def _of_body(method: str, operation: dict[str, Any]) -> tuple[int, ...]:
    """What may be wrong with a body: of a POST that takes none too, since it is read all the same."""
    if "requestBody" not in operation:
        return _OF_A_BODY_READ_WHOLE if method == "post" else ()
    return _OF_A_BODY_READ_WHOLE if _JSON in operation["requestBody"]["content"] else _OF_A_BODY


def _describe_conditions(operation: dict[str, Any]) -> None:
    """What a route that answers If-None-Match takes and sends, and Range if it answers that."""
    responses = operation["responses"]
    parameters = operation.setdefault("parameters", [])
    known = {parameter["name"].lower() for parameter in parameters}
    ranges = "206" in responses
    for name, description in _RANGE_PARAMETERS.items():
        if name.lower() not in known and (ranges or name == "If-None-Match"):
            schema = {"type": "string"}
            given = {"name": name, "in": "header", "required": False, "schema": schema}
            parameters.append({**given, "description": description})
    for status in ("200", "304"):
        _add_header(responses[status], "ETag")
    if ranges:
        # a part has the media type of the whole (RFC 9110, 15.3.7), and need not be JSON or HTML by itself
        part = {"schema": {"type": "string", "format": "binary"}, "example": "some of the bytes"}
        responses["206"].setdefault("content", {name: dict(part) for name in responses["200"]["content"]})
        _add_header(responses["206"], "ETag")
        for status in ("200", "206"):
            _add_header(responses[status], "Accept-Ranges")
        for status in ("206", "416"):
            _add_header(responses[status], "Content-Range")


def _add_header(response: dict[str, Any], name: str) -> None:
    described = {"description": _RANGE_HEADERS[name], "schema": {"type": "string"}}
    response.setdefault("headers", {}).setdefault(name, described)


def _document(responses: dict[str, Any], *statuses: int) -> None:
    described = problem_responses(*statuses)
    for status in statuses:
        responses.setdefault(str(HTTPStatus(status).value), described[status])


def _of_path(name: str) -> str:
    if name in _OF_PATHS:
        return _OF_PATHS[name]
    return f"Id of the {re.sub('_id$', '', name).replace('_', ' ')}."
