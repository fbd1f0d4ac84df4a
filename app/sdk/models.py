"""Models: list, download, ask for recommendations."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.sdk.downloads import download, safe_target
from app.sdk.objects import Job, Model, Recommendation
from app.sdk.transport import Transport


class Models:
    """`client.models`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self, *, job: str | Job | None = None, arm: str | None = None, page_size: int | None = None
    ) -> Iterator[Model]:
        """All models, or one job's or arm's, newest first, page after page as you read on."""
        query = {"limit": page_size, "job": job.id if isinstance(job, Job) else job, "arm": arm}
        return map(Model.from_json, self._transport.pages("/v1/models", params=query))

    def get(self, model: str | Model) -> Model:
        """One model."""
        return Model.from_json(self._transport.json("GET", _path(model)))

    def download(
        self,
        model: str | Model,
        folder: str | os.PathLike[str],
        *,
        on_bytes: Callable[[str, int], None] | None = None,
    ) -> Path:
        """Download a model's files into `folder`, which is made; what is already there and right is kept.

        A cut download goes on where it broke, and every file's SHA-256 is checked (IntegrityError).
        `on_bytes` is told (path, bytes so far).
        """
        found = self.get(model)
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        for file in found.files:
            path = file.path

            def told(done: int, path: str = path) -> None:
                if on_bytes:
                    on_bytes(path, done)

            download(
                self._transport,
                f"{_path(found)}/files/{quote(path)}",
                safe_target(target, path),
                size=file.bytes,
                sha256=file.sha256,
                on_bytes=told,
            )
        return target

    def recommend(
        self,
        model: str | Model,
        sequences: Sequence[Sequence[str]],
        *,
        k: int = 10,
        exclude_seen: bool = True,
        replace: Mapping[int, str] | None = None,
    ) -> tuple[tuple[Recommendation, ...], ...]:
        """The k best next items for each history (item ids, oldest first), best first.

        `replace` asks 'what if': {position: item}, positions counted from 0, or from the end when negative.
        """
        body: dict[str, Any] = {
            "sequences": [list(sequence) for sequence in sequences],
            "k": k,
            "exclude_seen": exclude_seen,
        }
        if replace:
            body["replace"] = {str(position): item for position, item in replace.items()}
        answer = self._transport.json("POST", f"{_path(model)}/recommend", body=body, repeatable=True)
        return tuple(
            tuple(Recommendation(item=str(row["item"]), score=float(row["score"])) for row in result["items"])
            for result in answer["data"]
        )

    def delete(self, model: str | Model) -> dict[str, Any]:
        """Delete a model and its files; says how many bytes came free."""
        return self._transport.json("DELETE", _path(model))


def _path(model: str | Model) -> str:
    return f"/v1/models/{model if isinstance(model, str) else model.id}"
