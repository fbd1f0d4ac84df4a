"""Aliases of models' names: list, move, check, delete; a part of `client.models`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import quote

from app.sdk.answers.deletions import AliasDeleted
from app.sdk.answers.models import AliasValidation, Condition
from app.sdk.errors import ProbablyDeletedError
from app.sdk.objects.fields import id_of
from app.sdk.objects.models import Alias, Model
from app.sdk.transport import Transport


class ModelAliases:
    """What `client.models` does with aliases."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def aliases(self, name: str) -> tuple[Alias, ...]:
        """The aliases of a name."""
        rows = self._transport.pages(f"/v1/models/{quote(name, safe='')}/aliases", params={"limit": 100})
        return tuple(map(Alias.from_json, rows))

    def alias(self, name: str, alias: str) -> Alias:
        """Where an alias points, its gates and its history."""
        return Alias.from_json(self._transport.json("GET", _alias_path(name, alias)))

    def set_alias(
        self,
        name: str,
        alias: str,
        model: int | str | Model,
        *,
        promote_if: Sequence[Condition] = (),
        keep_gates: bool = False,
        allow_mixed_protocol: bool = False,
        force: bool = False,
    ) -> Alias:
        """Let an alias point at a version (a number), or a model, if it meets every condition.

        Each condition is `{"metric": "test.ndcg@10", "at_least": 0.05}`, or with `at_most`,
        `at_least_of_current`, `at_most_of_current`. ConflictError (`gate_refused`) says what misses by how
        much, and then nothing has moved. `keep_gates` has later moves meet these conditions, too.
        """
        body = _alias_body(
            model,
            promote_if,
            keep_gates=keep_gates,
            allow_mixed_protocol=allow_mixed_protocol,
            force=force,
        )
        return Alias.from_json(self._transport.json("PUT", _alias_path(name, alias), body=body))

    def check_alias(
        self,
        name: str,
        alias: str,
        model: int | str | Model,
        *,
        promote_if: Sequence[Condition] = (),
        keep_gates: bool = False,
        allow_mixed_protocol: bool = False,
        force: bool = False,
    ) -> AliasValidation:
        """Whether `set_alias` would be let through, and the `checks` of every condition; moves nothing.

        Given the same, it raises what `set_alias` would.
        """
        body = _alias_body(
            model,
            promote_if,
            keep_gates=keep_gates,
            allow_mixed_protocol=allow_mixed_protocol,
            force=force,
        )
        query = {"validate_only": "true"}
        found = self._transport.json("PUT", _alias_path(name, alias), params=query, body=body)
        return cast("AliasValidation", found)

    def delete_alias(self, name: str, alias: str) -> AliasDeleted:
        """Take an alias away; the service keeps its history."""
        try:
            return cast("AliasDeleted", self._transport.json("DELETE", _alias_path(name, alias)))
        except ProbablyDeletedError:
            # An alias holds no bytes, so that all of the lost answer is known.
            return {"object": "model.alias", "name": name, "alias": alias, "deleted": True, "freed_bytes": 0}


def _alias_body(
    model: int | str | Model,
    promote_if: Sequence[Condition],
    *,
    keep_gates: bool,
    allow_mixed_protocol: bool,
    force: bool,
) -> dict[str, Any]:
    return {
        **({"version": model} if isinstance(model, int) else {"model": id_of(model)}),
        "promote_if": [dict(condition) for condition in promote_if],
        "keep_gates": keep_gates,
        "allow_mixed_protocol": allow_mixed_protocol,
        "force": force,
    }


def _alias_path(name: str, alias: str) -> str:
    return f"/v1/models/{quote(name, safe='')}/aliases/{quote(alias, safe='')}"
