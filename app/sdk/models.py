"""Models: list, download, ask for recommendations."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from app.sdk.aliases import ModelAliases
from app.sdk.answers.deletions import BatchDeleted, ModelDeleted
from app.sdk.datasets import Datasets
from app.sdk.downloads import download, fetch, replace_together, safe_target
from app.sdk.errors import ServiceUnreachableError
from app.sdk.objects.datasets import Dataset
from app.sdk.objects.fields import id_in_path
from app.sdk.objects.jobs import Job
from app.sdk.objects.models import Model, Recommendation, RecommendationBatch
from app.sdk.waiting import wait_for_end

_KEY_FILE = "config.json"
"""Without this file a model's folder cannot be loaded."""


class Models(ModelAliases):
    """`client.models`."""

    def list(
        self,
        *,
        job: str | Job | None = None,
        arm: str | None = None,
        name: str | None = None,
        version: int | None = None,
        alias: str | None = None,
        page_size: int | None = None,
    ) -> Iterator[Model]:
        """All models, or those of a job, arm, name, version or alias, newest first, page after page."""
        query = {
            "limit": page_size,
            "job": job.id if isinstance(job, Job) else job,
            "arm": arm,
            "name": name,
            "version": version,
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

        A cut download goes on where it broke, and every file's SHA-256 is checked (IntegrityError). A folder
        that holds another version keeps it until all of this one is there. `on_bytes` is told (path, bytes so
        far).
        """
        found = self.get(model)
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        new = []
        for file in found.files:
            path, place = file.path, safe_target(target, file.path)

            def told(done: int, path: str = path) -> None:
                if on_bytes:
                    on_bytes(path, done)

            url = f"{_path(found)}/files/{quote(path)}"
            if fetch(self._transport, url, place, size=file.bytes, sha256=file.sha256, on_bytes=told):
                new.append(place)
        replace_together(new, key=target / _KEY_FILE)
        return target

    def card(self, model: str | Model) -> str:
        """Its card, in Markdown."""
        return self._transport.text(f"{_path(model)}/card", "text/markdown")

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
            size = first.headers.get("Content-Range", "").rpartition("/")[2]
            sha256 = first.headers.get("ETag", "").strip('"')
        if not (size.isdecimal() and sha256):
            raise ServiceUnreachableError(
                f"{self._transport.base_url} answered, but not with a model's bundle.",
                hint="Is this the address of a SteadyRank service?",
            )
        download(self._transport, path, file, size=int(size), sha256=sha256, on_bytes=on_bytes)
        return file

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
            "sequences": [_history(sequence) for sequence in sequences],
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
        self,
        model: str | Model,
        dataset: str | Dataset | os.PathLike[str],
        *,
        k: int = 10,
        exclude_seen: bool = True,
        idempotency_key: str | None = None,
    ) -> RecommendationBatch:
        """Recommend to every user of a data set, in the background; `wait_for_batch` waits for the end.

        `dataset` may be a log of interactions on this machine, too: a path, or text that is not of the form
        `ds_…` or names a file. It is uploaded, and stays in the project; DatasetRejectedError if it cannot
        be read. The same `idempotency_key` gives the same batch, as in `client.jobs.create`, and of a file
        the same data set.
        """
        if not isinstance(dataset, Dataset) and _is_file(dataset):
            dataset = Datasets(self._transport).upload(Path(dataset), idempotency_key=idempotency_key)
        body = {"dataset": dataset.id if isinstance(dataset, Dataset) else str(dataset), "k": k}
        answer = self._transport.json(
            "POST",
            f"{_path(model)}/recommendations",
            body={**body, "exclude_seen": exclude_seen},
            idempotency_key=idempotency_key,
        )
        return RecommendationBatch.from_json(answer)

    def batches(self, model: str | Model) -> Iterator[RecommendationBatch]:
        """A model's batches of recommendations, newest first."""
        return map(RecommendationBatch.from_json, self._transport.pages(f"{_path(model)}/recommendations"))

    def batch(
        self, batch: str | RecommendationBatch, *, model: str | Model | None = None
    ) -> RecommendationBatch:
        """A batch as it is now; one given by its id needs the model, which has to be given by its id, too."""
        return RecommendationBatch.from_json(self._transport.json("GET", _batch_path(batch, model)))

    def wait_for_batch(
        self,
        batch: RecommendationBatch,
        progress: Callable[[RecommendationBatch], None] | None = None,
        *,
        timeout: float | None = None,
        interval: float = 1.0,
        outage: float = 120.0,
    ) -> RecommendationBatch:
        """Wait until a batch has ended, well or not; WaitTimeoutError after `timeout` seconds.

        `progress` is told of the batch each time that it was looked at; `outage` is how many seconds the
        service may be away meanwhile.
        """
        return wait_for_end(
            self._transport,
            _batch_path(batch),
            RecommendationBatch.from_json,
            what=f"batch {batch.id}",
            pauses=repeat(interval),
            timeout=timeout,
            outage=outage,
            told=progress,
        )

    def download_batch(self, batch: RecommendationBatch, target: str | os.PathLike[str]) -> Path:
        """Download a batch that succeeded into the parquet file `target`: user, rank, item, score."""
        found, file = self.batch(batch), Path(target)
        path = f"{_batch_path(found)}/content"
        download(self._transport, path, file, size=found.bytes or 0, sha256=found.sha256 or "")
        return file

    def delete_batch(self, batch: RecommendationBatch) -> BatchDeleted:
        """Delete a batch, also one that runs; says how many bytes came free."""
        return cast("BatchDeleted", self._transport.json("DELETE", _batch_path(batch)))

    def delete(self, model: str | Model) -> ModelDeleted:
        """Delete a model and its files; says how many bytes came free."""
        return cast("ModelDeleted", self._transport.json("DELETE", _path(model)))


def _is_file(dataset: str | os.PathLike[str]) -> bool:
    return not (isinstance(dataset, str) and dataset.startswith("ds_")) or Path(dataset).is_file()


def _history(given: Sequence[str]) -> list[str]:
    # Text is a sequence, of letters: two histories of one letter each would be answered for ["12"].
    if isinstance(given, str | bytes | Mapping):
        raise TypeError(f"{given!r} is no history: a list of histories is wanted, [[…], […]]")
    return list(given)


def _path(model: str | Model) -> str:
    return f"/v1/models/{id_in_path(model, safe='@')}"


def _batch_path(batch: str | RecommendationBatch, model: str | Model | None = None) -> str:
    if isinstance(batch, RecommendationBatch):
        model = batch.model
    elif model is None:
        raise TypeError("a batch given by its id needs its model")
    return f"{_path(model)}/recommendations/{id_in_path(batch)}"
