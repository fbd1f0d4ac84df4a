"""Models: list, download, ask for recommendations."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.sdk.downloads import download, safe_target
from app.sdk.errors import WaitTimeoutError
from app.sdk.objects.datasets import Dataset
from app.sdk.objects.fields import TERMINAL_STATUSES, id_of
from app.sdk.objects.jobs import Job
from app.sdk.objects.models import Alias, Model, Recommendation, RecommendationBatch
from app.sdk.transport import Transport


class Models:
    """`client.models`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        job: str | Job | None = None,
        arm: str | None = None,
        name: str | None = None,
        alias: str | None = None,
        page_size: int | None = None,
    ) -> Iterator[Model]:
        """All models, or those of a job, arm, name or alias, newest first, page after page as you read on."""
        query = {
            "limit": page_size,
            "job": job.id if isinstance(job, Job) else job,
            "arm": arm,
            "name": name,
            "alias": alias,
        }
        return map(Model.from_json, self._transport.pages("/v1/models", params=query))

    def get(self, model: str | Model) -> Model:
        """One model, by id or as `name@version`, `name@alias`, `name@latest`."""
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

    def card(self, model: str | Model) -> str:
        """Its card, in Markdown."""
        return self._transport.text(f"{_path(model)}/card", accept="text/markdown")

    def rename(self, model: str | Model, name: str) -> Model:
        """Register it under another name, as that name's next version."""
        return Model.from_json(self._transport.json("PATCH", _path(model), body={"name": name}))

    def download_bundle(
        self,
        model: str | Model,
        target: str | os.PathLike[str],
        *,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Path:
        """Download all of a model as one zip, with a loader that needs only numpy, into the file `target`.

        A cut download goes on where it broke, and the SHA-256 is checked (IntegrityError).
        """
        path, file = f"{_path(model)}/bundle", Path(target)
        with self._transport.stream(path, headers={"Range": "bytes=0-0"}) as first:
            size = int(first.headers["Content-Range"].rpartition("/")[2])
            sha256 = first.headers["ETag"].strip('"')
        download(self._transport, path, file, size=size, sha256=sha256, on_bytes=on_bytes)
        return file

    def aliases(self, name: str) -> tuple[Alias, ...]:
        """The aliases of a name."""
        answer = self._transport.json("GET", f"/v1/models/{quote(name, safe='')}/aliases")
        return tuple(Alias.from_json(row) for row in answer["data"])

    def alias(self, name: str, alias: str) -> Alias:
        """Where an alias points, its gates and its history."""
        return Alias.from_json(self._transport.json("GET", _alias_path(name, alias)))

    def set_alias(
        self,
        name: str,
        alias: str,
        model: int | str | Model,
        *,
        promote_if: Sequence[Mapping[str, Any]] = (),
        keep_gates: bool = False,
        allow_mixed_protocol: bool = False,
        force: bool = False,
    ) -> Alias:
        """Let an alias point at a version (a number), or a model, if it meets every condition.

        Each condition is `{"metric": "test.ndcg@10", "at_least": 0.05}`, or with `at_most`,
        `at_least_of_current`, `at_most_of_current`. ConflictError (`gate_refused`) says what misses by how
        much, and then nothing has moved. `keep_gates` has later moves meet these conditions, too.
        """
        target = {"version": model} if isinstance(model, int) else {"model": id_of(model)}
        body = {
            **target,
            "promote_if": [dict(condition) for condition in promote_if],
            "keep_gates": keep_gates,
            "allow_mixed_protocol": allow_mixed_protocol,
            "force": force,
        }
        return Alias.from_json(self._transport.json("PUT", _alias_path(name, alias), body=body))

    def delete_alias(self, name: str, alias: str) -> dict[str, Any]:
        """Take an alias away; the service keeps its history."""
        return self._transport.json("DELETE", _alias_path(name, alias))

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

    def recommend_batch(
        self, model: str | Model, dataset: str | Dataset, *, k: int = 10, exclude_seen: bool = True
    ) -> RecommendationBatch:
        """Recommend to every user of a data set, in the background; `wait_for_batch` waits for the end."""
        body = {"dataset": id_of(dataset), "k": k}
        answer = self._transport.json(
            "POST", f"{_path(model)}/recommendations", body={**body, "exclude_seen": exclude_seen}
        )
        return RecommendationBatch.from_json(answer)

    def batches(self, model: str | Model) -> Iterator[RecommendationBatch]:
        """A model's batches of recommendations, newest first."""
        return map(RecommendationBatch.from_json, self._transport.pages(f"{_path(model)}/recommendations"))

    def batch(self, batch: RecommendationBatch) -> RecommendationBatch:
        """A batch as it is now."""
        return RecommendationBatch.from_json(self._transport.json("GET", _batch_path(batch)))

    def wait_for_batch(
        self, batch: RecommendationBatch, *, timeout: float | None = None, interval: float = 1.0
    ) -> RecommendationBatch:
        """Wait until a batch has ended, well or not; WaitTimeoutError after `timeout` seconds."""
        started = time.monotonic()
        while True:
            found = self.batch(batch)
            if found.status in TERMINAL_STATUSES:
                return found
            if timeout is not None and time.monotonic() - started + interval > timeout:
                raise WaitTimeoutError(f"batch {found.id} is still {found.status} after {timeout:g} s")
            self._transport.sleep(interval)

    def download_batch(self, batch: RecommendationBatch, target: str | os.PathLike[str]) -> Path:
        """Download a batch that succeeded into the parquet file `target`: user, rank, item, score."""
        found, file = self.batch(batch), Path(target)
        path = f"{_batch_path(found)}/content"
        download(self._transport, path, file, size=found.bytes or 0, sha256=found.sha256 or "")
        return file

    def delete_batch(self, batch: RecommendationBatch) -> dict[str, Any]:
        """Delete a batch, also one that runs; says how many bytes came free."""
        return self._transport.json("DELETE", _batch_path(batch))

    def delete(self, model: str | Model) -> dict[str, Any]:
        """Delete a model and its files; says how many bytes came free."""
        return self._transport.json("DELETE", _path(model))


def _path(model: str | Model) -> str:
    return f"/v1/models/{quote(id_of(model), safe='@')}"


def _batch_path(batch: RecommendationBatch) -> str:
    return f"/v1/models/{batch.model}/recommendations/{batch.id}"


def _alias_path(name: str, alias: str) -> str:
    return f"/v1/models/{quote(name, safe='')}/aliases/{quote(alias, safe='')}"
