"""Data sets: upload a log of interactions, see what the service found in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, cast, overload

from app.sdk.answers.datasets import DatasetPreview, DatasetReport
from app.sdk.answers.deletions import DatasetDeleted
from app.sdk.bodies import Sent, Source, body_of
from app.sdk.downloads import download
from app.sdk.errors import DatasetRejectedError
from app.sdk.objects.datasets import Dataset
from app.sdk.objects.fields import id_in_path, id_of
from app.sdk.transport import Transport
from app.sdk.uploads import PARTS_ABOVE_BYTES, Uploads
from app.sdk.waiting import wait_for_end


class Datasets:
    """`client.datasets`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(
        self,
        source: Source,
        *,
        name: str | None = None,
        filename: str | None = None,
        format: str | None = None,
        user_column: str | None = None,
        item_column: str | None = None,
        time_column: str | None = None,
        rating_column: str | None = None,
        wait: bool = True,
        timeout: float = 600.0,
        on_bytes: Sent | None = None,
        parts_above: int = PARTS_ABOVE_BYTES,
        threads: int = 4,
        resume: bool = True,
        upload_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Dataset:
        """Upload a log of interactions and, unless told otherwise, wait until it has been read.

        Args:
            source: A path, bytes, an open binary file, or an iterable of bytes. Sent in constant memory.
            name: What it is called in lists; the file's name when left out.
            filename: The file's name, whose ending tells the format; a path or file object brings its own.
            format: Overrides the guess from the name and the content.
            user_column: Overrides the guessed column of user ids; likewise the next three.
            item_column: Column of item ids.
            time_column: Column of times.
            rating_column: Column of ratings.
            wait: Wait until the service has read it; DatasetRejectedError when it cannot be used.
            timeout: Seconds to wait for that (WaitTimeoutError).
            on_bytes: Told (bytes sent, bytes in all or None) while sending.
            parts_above: A path with more bytes than this goes up in parts.
            threads: How many parts are sent at a time.
            resume: Go on with an upload in parts of the very same file that was broken off, if there is one.
            upload_id: Go on with this one; IntegrityError if it is of another file.
            idempotency_key: The same file under the same key is the same data set, for a day;
                ValidationFailedError (`idempotency_key_reused`) if it is another file, or called otherwise.

        """
        query = {
            "name": name,
            "filename": filename or _filename(source),
            "format": format,
            "user_column": user_column,
            "item_column": item_column,
            "time_column": time_column,
            "rating_column": rating_column,
        }
        if isinstance(source, str | os.PathLike) and (
            upload_id is not None or Path(source).stat().st_size > parts_above
        ):
            dataset = Uploads(self._transport).send_file(
                Path(source),
                options={field: value for field, value in query.items() if value is not None},
                threads=threads,
                resume=resume,
                upload_id=upload_id,
                on_bytes=on_bytes,
                idempotency_key=idempotency_key,
            )
        else:
            body = body_of(source, on_bytes)
            made = self._transport.json(
                "POST", "/v1/datasets", params=query, upload=body, idempotency_key=idempotency_key
            )
            dataset = Dataset.from_json(made)
        return self.wait(dataset.id, timeout=timeout) if wait else dataset

    def list(self, *, page_size: int | None = None) -> Iterator[Dataset]:
        """All data sets, newest first, page after page as you read on."""
        rows = self._transport.pages("/v1/datasets", params={"limit": page_size})
        return map(Dataset.from_json, rows)

    def get(self, dataset: str | Dataset) -> Dataset:
        """One data set."""
        return Dataset.from_json(self._transport.json("GET", _path(dataset)))

    def wait(
        self,
        dataset: str | Dataset,
        *,
        timeout: float = 600.0,
        interval: float = 0.2,
        outage: float = 120.0,
    ) -> Dataset:
        """Wait until it has been read; the service may be away for `outage` seconds meanwhile.

        Raises DatasetRejectedError when it cannot be used, WaitTimeoutError after `timeout` seconds.
        """
        found = wait_for_end(
            self._transport,
            _path(dataset),
            Dataset.from_json,
            what=f"data set {id_of(dataset)}",
            pauses=_ever_longer(interval),
            timeout=timeout,
            outage=outage,
            is_over=lambda found: found.status != "validating",
            hint="Is a worker for the `light` queue running? See GET /readyz.",
        )
        if found.status == "rejected":
            raise DatasetRejectedError(found)
        return found

    @overload
    def report(self, dataset: str | Dataset, *, format: Literal["json"] = "json") -> DatasetReport: ...
    @overload
    def report(self, dataset: str | Dataset, *, format: Literal["md"]) -> str: ...
    def report(
        self, dataset: str | Dataset, *, format: Literal["json", "md"] = "json"
    ) -> DatasetReport | str:
        """What reading found (`problems`) and what the doctor says (`findings`): lines, severities, fixes."""
        path, query = f"{_path(dataset)}/report", {"format": format}
        if format == "json":
            return cast("DatasetReport", self._transport.json("GET", path, params=query))
        return self._transport.text(path, "text/markdown", params=query)

    def preview(self, dataset: str | Dataset, *, limit: int = 20) -> DatasetPreview:
        """The first `rows` as they were understood, and the file's first `lines`; at most 100."""
        found = self._transport.json("GET", f"{_path(dataset)}/preview", params={"limit": limit})
        return cast("DatasetPreview", found)

    def transform(
        self,
        dataset: str | Dataset,
        transforms: Sequence[str],
        *,
        name: str | None = None,
        wait: bool = True,
        timeout: float = 600.0,
    ) -> Dataset:
        """Make another version of it by named transforms, such as the fixes of its report, in this order."""
        body = {"transforms": [transforms] if isinstance(transforms, str) else list(transforms)}
        made = self._transport.json(
            "POST", f"{_path(dataset)}/transform", body=body | ({} if name is None else {"name": name})
        )
        return self._made(made, wait=wait, timeout=timeout)

    def forget(
        self,
        dataset: str | Dataset,
        users: Sequence[str],
        *,
        delete_parent: bool = False,
        wait: bool = True,
        timeout: float = 600.0,
    ) -> Dataset:
        """Make another version of it without these users; `forgotten_unknown` names those it did not have.

        With `delete_parent` it is deleted, with all that it was made of, once the new version is ready.
        Raises DatasetRejectedError when none of the users is in it.
        """
        body = {"users": list(users), "delete_parent": delete_parent}
        made = self._transport.json("POST", f"{_path(dataset)}/forget", body=body)
        return self._made(made, wait=wait, timeout=timeout)

    def _made(self, body: dict[str, Any], *, wait: bool, timeout: float) -> Dataset:
        made = Dataset.from_json(body)
        return self.wait(made.id, timeout=timeout) if wait else made

    def content(
        self,
        dataset: str | Dataset,
        target: str | os.PathLike[str],
        *,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Path:
        """Download the file as it was uploaded; resumes, and checks its SHA-256."""
        found, file = self.get(dataset), Path(target)
        path = f"{_path(found)}/content"
        download(self._transport, path, file, size=found.bytes, sha256=found.sha256, on_bytes=on_bytes)
        return file

    def delete(self, dataset: str | Dataset) -> DatasetDeleted:
        """Delete it; InUseError lists the jobs that still need it. Says how many bytes came free."""
        return cast("DatasetDeleted", self._transport.json("DELETE", _path(dataset)))


def forgotten_unknown(made: Dataset, users: Sequence[str]) -> list[str]:
    """Which of the users that `forget` was called with the data set did not have.

    The service keeps no ids of forgotten users: it tells the first 1,000 by their place in the request.
    """
    steps = made.lineage["transforms"] if made.lineage else ()
    return [users[place] for step in steps for place in step.get("unknown_at") or ()]


def _ever_longer(pause: float) -> Iterator[float]:
    """Pauses of half as long again each time, up to two seconds."""
    while True:
        yield pause
        pause = min(2.0, pause * 1.5)


def _path(dataset: str | Dataset) -> str:
    return f"/v1/datasets/{id_in_path(dataset)}"


def _filename(source: Source) -> str | None:
    if isinstance(source, str | os.PathLike):
        return Path(source).name
    named = getattr(source, "name", None)
    return Path(named).name if isinstance(named, str) else None
