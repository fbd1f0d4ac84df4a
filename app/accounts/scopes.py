"""What a key may do: `read`, `submit`, `admin`, `operator`, each with all that the ones before it may."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Scope(StrEnum):
    """One of a key's rights."""

    READ = "read"
    """Look at everything of the project, download it, and ask its models."""
    SUBMIT = "submit"
    """Also upload, train, steer and delete."""
    ADMIN = "admin"
    """Also make and revoke keys, and say where webhooks go."""
    OPERATOR = "operator"
    """Also make projects and set their limits, and read the metrics of the whole installation."""


_RANK = {scope: rank for rank, scope in enumerate(Scope)}
_OF_ADMINS = frozenset({"api_keys", "webhook_endpoints"})
_OF_OPERATORS = frozenset({"projects"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""


def needed(method: str, path: str) -> Scope:
    """The scope that a request to a `/v1` path, or to `/metrics`, needs."""
    parts = path.split("/")
    if parts[1:2] == ["metrics"] or (parts[2:3] and parts[2] in _OF_OPERATORS):
        return Scope.OPERATOR
    if len(parts) > 2 and parts[2] in _OF_ADMINS:
        return Scope.ADMIN
    asks_a_model = method == "POST" and parts[2:3] == ["models"] and parts[4:] == ["recommend"]
    if method in SAFE_METHODS or asks_a_model:
        return Scope.READ
    return Scope.SUBMIT


def allowed(scopes: Iterable[str], wanted: Scope) -> bool:
    """Whether a key with these scopes may do what needs that one."""
    return max((_RANK[Scope(scope)] for scope in scopes), default=-1) >= _RANK[wanted]
