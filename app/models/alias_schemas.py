"""Aliases as clients see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.db.models.model import Model
from app.db.models.model_alias import ModelAlias, ModelAliasMove
from app.examples import MODEL_ID
from app.models.gates import Check, Condition
from app.models.names import LATEST


def _not_taken(alias: str) -> str:
    if alias == LATEST:
        raise ValueError(f"{LATEST!r} always means the greatest version")
    return alias


AliasName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9._-]{0,63}$"), AfterValidator(_not_taken)]

_GATE: dict[str, Any] = {"metric": "test.ndcg@10", "at_least_of_current": 0.98}
PUT_EXAMPLE: dict[str, Any] = {
    "version": 3,
    "promote_if": [{"metric": "attacked.kept", "position": "end", "at_least": 0.6}, _GATE],
}
_CHECK: dict[str, Any] = {
    "pointer": "/promote_if/1/at_least_of_current",
    "metric": "test.ndcg@10",
    "attack": None,
    "rule": "at_least_of_current",
    "value": 0.0575,
    "current": 0.0571,
    "needed": 0.055958,
    "missing_by": 0.0,
    "passed": True,
    "message": "test.ndcg@10 is 0.0575, needed is at least 0.055958 (0.98 of the current 0.0571)",
}
_NAMED: dict[str, Any] = {
    "name": "movielens-sasrec-cascade",
    "alias": "production",
    "model": MODEL_ID,
    "version": 3,
}
EXAMPLE: dict[str, Any] = {
    "object": "model.alias",
    **_NAMED,
    "gates": [],
    "history": [
        {
            "from_model": "mdl_01k9z1fq8h2t6w0ynrbv5m3px7",
            "from_version": 2,
            "to_model": MODEL_ID,
            "to_version": 3,
            "checks": [_CHECK],
            "forced": False,
            "api_key": "key_01k9z0fq8h2t6w0ynrbv5m3px7",
            "at": "2025-11-23T14:10:00Z",
        }
    ],
    "created_at": "2025-11-20T09:00:00Z",
    "moved_at": "2025-11-23T14:10:00Z",
}
VALID_EXAMPLE: dict[str, Any] = {
    "object": "model.alias.validation",
    "valid": True,
    **_NAMED,
    "from_version": 2,
    "checks": [_CHECK],
}


class AliasPut(BaseModel):
    """Where an alias is to point, and on which conditions."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, json_schema_extra={"examples": [PUT_EXAMPLE]}
    )

    version: int | None = Field(default=None, ge=1, le=2**31 - 1)
    """The version of this name that it is to point at."""
    model: str | None = Field(default=None, max_length=64)
    """The model's id, in place of its version."""
    promote_if: list[Condition] = Field(default_factory=list, max_length=32)
    """Conditions that the model has to meet; otherwise nothing moves (409 `gate_refused`)."""
    keep_gates: bool = False
    """Keep `promote_if` on the alias, in place of what it keeps: every later move has to pass it, too."""
    allow_mixed_protocol: bool = False
    """Compare with the current model's figures although they were measured differently."""
    force: bool = False
    """Move although conditions are not met; needs the scope `admin`, and stands in the history."""

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.version is None) == (self.model is None):
            raise ValueError("give either version or model")
        return self


class AliasMove(BaseModel):
    """One move of an alias."""

    from_model: str | None
    from_version: int | None
    to_model: str | None = Field(description="Null when the alias was deleted.")
    to_version: int | None
    checks: list[dict[str, Any]]
    forced: bool
    api_key: str | None
    at: datetime

    @classmethod
    def of(cls, row: ModelAliasMove) -> Self:
        """The object of a row."""
        return cls(
            from_model=row.from_model,
            from_version=row.from_version,
            to_model=row.to_model,
            to_version=row.to_version,
            checks=row.checks,
            forced=row.forced,
            api_key=row.api_key_id,
            at=row.created_at,
        )


class AliasObject(BaseModel):
    """An alias of a name: the model that it points at, and how it came there."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    object: Literal["model.alias"] = "model.alias"
    name: str
    alias: str
    model: str
    version: int
    gates: list[dict[str, Any]] = Field(description="Conditions that every move has to meet.")
    history: list[AliasMove] = Field(
        description="The last 100 moves, newest first; in a list the last one alone."
    )
    created_at: datetime
    moved_at: datetime

    @classmethod
    def of(cls, row: ModelAlias, model: Model, moves: Sequence[ModelAliasMove]) -> Self:
        """The object of a row, the model that it points at, and its moves."""
        return cls(
            name=row.name,
            alias=row.alias,
            model=model.id,
            version=model.version,
            gates=row.gates,
            history=[AliasMove.of(move) for move in moves],
            created_at=row.created_at,
            moved_at=row.moved_at,
        )


class AliasValidation(BaseModel):
    """A move that would be made."""

    object: Literal["model.alias.validation"] = "model.alias.validation"
    valid: Literal[True] = True
    name: str
    alias: str
    model: str
    version: int
    from_version: int | None
    checks: list[Check]


class AliasList(BaseModel):
    """The aliases of one name."""

    object: Literal["list"] = "list"
    data: list[AliasObject]
    first_id: str | None = Field(description="The first alias of this page; aliases have no other id.")
    last_id: str | None = Field(description="The last one: `after` of the next page.")
    has_more: bool


class AliasDeleted(BaseModel):
    """A deleted alias; its history is kept."""

    object: Literal["model.alias"] = "model.alias"
    name: str
    alias: str
    deleted: Literal[True] = True
    freed_bytes: int = 0
