"""Whether a type of the SDK says the same as a JSON schema, in every field down to the leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

Schema = dict[str, Any]
_SCALARS: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    NoneType: "null",
    Any: "anything",
}


def faults(
    hint: Any, schema: Schema, document: Schema, *, complete: bool = False, where: str = ""
) -> Iterator[str]:
    """Where a type hint and a JSON schema differ, one line each; `$ref` points into `document`.

    complete: every property is there whatever `required` says, as in what a pydantic model writes.
    """
    typed = dict(_of_hint(hint))
    described = dict(_of_schema(schema, document))
    if typed.keys() != described.keys():
        yield f"{where}: {sorted(map(str, typed))} in the type, {sorted(map(str, described))} in the schema"
        return
    for kind, part in typed.items():
        found = described[kind]
        if kind == "array":
            item = get_args(part)[0]
            yield from faults(item, found.get("items", {}), document, complete=complete, where=f"{where}[]")
        elif kind == "object" and is_typeddict(part):
            yield from _of_fields(part, found, document, complete=complete, where=where)
        elif kind == "object":
            _, value = get_args(part)
            more = found.get("additionalProperties", True)
            if "properties" in found:
                yield f"{where}: any names in the type, {sorted(found['properties'])} in the schema"
            yield from faults(
                value, more if isinstance(more, dict) else {}, document, complete=complete, where=f"{where}.*"
            )


def _of_fields(typed: Any, schema: Schema, document: Schema, *, complete: bool, where: str) -> Iterator[str]:
    hints, properties = get_type_hints(typed, include_extras=True), schema.get("properties", {})
    for name in sorted(hints.keys() - properties.keys()):
        yield f"{where}.{name}: only in the type"
    for name in sorted(properties.keys() - hints.keys()):
        yield f"{where}.{name}: only in the schema"
    for name in hints.keys() & properties.keys():
        hint, at = hints[name], f"{where}.{name}"
        given = get_origin(hint) is NotRequired
        optional = given or name in typed.__optional_keys__
        if optional == (complete or name in schema.get("required", ())):
            yield f"{at}: {'may be' if optional else 'is never'} left out, says the type"
        inner = get_args(hint)[0] if given else hint
        yield from faults(inner, properties[name], document, complete=complete, where=at)


def _of_hint(hint: Any) -> Iterator[tuple[Any, Any]]:
    """(kind, hint) of each thing that a value may be."""
    origin = get_origin(hint)
    if origin in {Union, UnionType}:
        for one in get_args(hint):
            yield from _of_hint(one)
    elif origin is Literal:
        for value in get_args(hint):
            yield repr(value), hint
    elif is_typeddict(hint) or origin in {dict, Mapping}:
        yield "object", hint
    else:
        yield ("array", hint) if origin in {list, tuple, Sequence} else (_SCALARS[hint], hint)


def _of_schema(schema: Schema, document: Schema) -> Iterator[tuple[Any, Schema]]:
    """(kind, schema) of each thing that a value may be."""
    if "$ref" in schema:
        steps = schema["$ref"].removeprefix("#/").split("/")
        yield from _of_schema(reduce(lambda part, step: part[step], steps, document), document)
    elif "anyOf" in schema:
        for one in schema["anyOf"]:
            yield from _of_schema(one, document)
    elif "const" in schema or "enum" in schema:
        for value in schema.get("enum", [schema.get("const")]):
            yield "null" if value is None else repr(value), schema
    else:
        kinds = schema.get("type", "anything")
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            yield kind, schema
