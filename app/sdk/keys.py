"""API keys of the caller's project; all of it needs a key with the scope `admin`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from app.sdk.objects.fields import id_in_path
from app.sdk.objects.keys import ApiKey
from app.sdk.secrets import shown_once
from app.sdk.transport import Transport


class ApiKeys:
    """`client.api_keys`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self, name: str, *, scopes: Sequence[str] = ("submit",), expires_at: datetime | None = None
    ) -> ApiKey:
        """Make a key; its `secret` is in this answer and never again (SecretLostError if it got lost).

        Args:
            name: What it is for.
            scopes: `read`, `submit` (which reads too) or `admin` (which may do everything).
            expires_at: From when on it opens nothing; needs a time zone.

        """
        body: dict[str, Any] = {"name": name, "scopes": list(scopes)}
        if expires_at is not None:
            body["expires_at"] = expires_at.isoformat()
        made = self._transport.json("POST", "/v1/api_keys", body=body)
        return ApiKey.from_json(shown_once(made, "The key", remedy="Revoke {id} and make another key."))

    def list(self, *, page_size: int | None = None) -> Iterator[ApiKey]:
        """All keys of the project, newest first; revoked ones too."""
        return map(ApiKey.from_json, self._transport.pages("/v1/api_keys", params={"limit": page_size}))

    def get(self, key: str | ApiKey) -> ApiKey:
        """One key, without its secret."""
        return ApiKey.from_json(self._transport.json("GET", _path(key)))

    def revoke(self, key: str | ApiKey) -> ApiKey:
        """Make a key useless from now on; harmless on a revoked one."""
        return ApiKey.from_json(self._transport.json("DELETE", _path(key)))


def _path(key: str | ApiKey) -> str:
    return f"/v1/api_keys/{id_in_path(key)}"
