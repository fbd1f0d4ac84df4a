"""What is answered when something is deleted, as types: plain dicts that say how many bytes came free.

A test holds them to the service's OpenAPI document.
"""

from __future__ import annotations

from typing import Literal, TypedDict


class Deleted(TypedDict):
    """What all of them say."""

    deleted: Literal[True]
    freed_bytes: int


class DatasetDeleted(Deleted):
    """A deleted data set."""

    id: str
    object: Literal["dataset"]


class UploadDeleted(Deleted):
    """An upload that was given up."""

    id: str
    object: Literal["upload"]


class JobDeleted(Deleted):
    """A deleted job, and the ids of the models that went with it."""

    id: str
    object: Literal["job"]
    models: list[str]


class ModelDeleted(Deleted):
    """A deleted model."""

    id: str
    object: Literal["model"]


class BatchDeleted(Deleted):
    """A deleted batch of recommendations."""

    id: str
    object: Literal["model.recommendations"]


class AliasDeleted(Deleted):
    """A deleted alias."""

    object: Literal["model.alias"]
    name: str
    alias: str


class EvaluationDeleted(Deleted):
    """A deleted evaluation."""

    id: str
    object: Literal["evaluation"]


class EndpointDeleted(Deleted):
    """A deleted webhook endpoint."""

    id: str
    object: Literal["webhook_endpoint"]
