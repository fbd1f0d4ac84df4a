"""Uploads in parts: several at a time, and only what is missing after something broke.

`client.datasets.upload(path)` does it for large files. What is missing is asked of the service, which knows
an old upload by the file's size and SHA-256: nothing is kept on this machine, and another process or machine
that has the same file can go on with it.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, cast

from app.sdk.answers.deletions import UploadDeleted
from app.sdk.bodies import READ_BYTES, Sent
from app.sdk.errors import ConflictError, IntegrityError, ProblemError, WaitTimeoutError
from app.sdk.objects.datasets import Dataset, Upload
from app.sdk.objects.fields import id_in_path
from app.sdk.transport import Body, Transport

PARTS_ABOVE_BYTES = 64 << 20
COMPLETE_SECONDS = 600.0
PART_SECONDS = 60.0
_DIGEST_MISMATCH = "digest_mismatch"
_SENT_AGAIN = 3
_BUSY = frozenset({"upload_busy", "idempotency_in_progress"})


class Uploads:
    """`client.uploads`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def open(
        self,
        *,
        bytes: int | None = None,
        sha256: str | None = None,
        part_bytes: int | None = None,
        idempotency_key: str | None = None,
        **options: str | None,
    ) -> Upload:
        """Open an upload. `options` are those of `datasets.upload`: filename, name, format, columns.

        The same `idempotency_key` gives the same upload, as it was at first.
        """
        asked = {"bytes": bytes, "sha256": sha256, "part_bytes": part_bytes, **options}
        given = {name: value for name, value in asked.items() if value is not None}
        made = self._transport.json("POST", "/v1/uploads", body=given, idempotency_key=idempotency_key)
        return Upload.from_json(made)

    def list(
        self, *, status: str | None = None, sha256: str | None = None, page_size: int | None = None
    ) -> Iterator[Upload]:
        """Uploads, newest first, page after page; `status` is open or completed."""
        query = {"status": status, "sha256": sha256, "limit": page_size}
        return map(Upload.from_json, self._transport.pages("/v1/uploads", params=query))

    def get(self, upload: str | Upload) -> Upload:
        """One upload: what has arrived, and what is missing."""
        return Upload.from_json(self._transport.json("GET", _path(upload)))

    def send_part(
        self,
        upload: str | Upload,
        n: int,
        blocks: Callable[[], Iterator[bytes]],
        *,
        size: int,
        sha256: str,
    ) -> None:
        """Send part `n` (from 1), whose bytes `blocks()` gives anew for every try; its digest is checked."""
        digest = base64.b64encode(bytes.fromhex(sha256)).decode()
        body = Body(blocks, size=size, repeatable=True)
        headers = {"Content-Digest": f"sha-256=:{digest}:"}
        path = f"{_path(upload)}/parts/{n}"
        self._once_free(lambda: self._transport.json("PUT", path, upload=body, headers=headers), PART_SECONDS)

    def complete(
        self, upload: str | Upload, *, sha256: str | None = None, timeout: float = COMPLETE_SECONDS
    ) -> Dataset:
        """Make a data set of the parts; asked again, it is the same one.

        ConflictError (`upload_incomplete`) while parts are missing, WaitTimeoutError after `timeout` seconds.
        """
        path, body = f"{_path(upload)}/complete", {"sha256": sha256} if sha256 else {}
        try:
            made = self._once_free(lambda: self._transport.json("POST", path, body=body), timeout)
        except ConflictError as busy:
            if busy.code not in _BUSY:
                raise
            raise WaitTimeoutError(
                f"the service is still checking the upload after {timeout:g} s",
                hint="Complete it again later: the answer will be the same data set.",
            ) from busy
        return Dataset.from_json(made)

    def abandon(self, upload: str | Upload) -> UploadDeleted:
        """Forget an upload that is not complete. Says how many bytes came free."""
        return cast("UploadDeleted", self._transport.json("DELETE", _path(upload)))

    def send_file(
        self,
        path: Path,
        *,
        options: Mapping[str, str],
        threads: int = 4,
        resume: bool = True,
        upload_id: str | None = None,
        part_bytes: int | None = None,
        on_bytes: Sent | None = None,
        idempotency_key: str | None = None,
    ) -> Dataset:
        """Send a file in parts and complete it. In constant memory: a block of 1 MiB for each thread.

        Args:
            path: The file.
            options: What `POST /v1/datasets` takes about it, such as `filename`.
            threads: Parts that are sent at a time.
            resume: Look for an upload of the same file, with the same options, that was broken off.
            upload_id: Go on with this one; IntegrityError if it is of another file.
            part_bytes: Wish for the size of a part.
            on_bytes: Told (bytes that are there, bytes in all) while sending, from several threads in turn.
            idempotency_key: Go on with, or take the data set of, the upload that was opened with this key.

        """
        size = path.stat().st_size
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        resume = resume and idempotency_key is None  # the key says which one
        upload = self._begun(size, sha256, options, resume=resume, upload_id=upload_id)
        if upload is None:
            upload = self.open(
                bytes=size, sha256=sha256, part_bytes=part_bytes, idempotency_key=idempotency_key, **options
            )
            if idempotency_key is not None:
                upload = self.get(upload)  # it may be an old one, further on than the answer says
        if upload.status == "open":
            _Sending(self, upload, path, size, on_bytes).run(threads)
        return self.complete(upload, sha256=sha256)

    def _once_free(self, ask: Callable[[], Any], seconds: float) -> Any:
        """What `ask` answers, which is asked again for so long while another request is at the upload."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return ask()
            except ConflictError as busy:
                if busy.code not in _BUSY or time.monotonic() > deadline:
                    raise
                self._transport.sleep(1.0)

    def _begun(
        self, size: int, sha256: str, options: Mapping[str, str], *, resume: bool, upload_id: str | None
    ) -> Upload | None:
        if upload_id is not None:
            found = self.get(upload_id)
            if found.bytes not in {None, size} or found.sha256 not in {None, sha256}:
                raise IntegrityError(
                    f"upload {upload_id} is of a file with another size or SHA-256",
                    hint="Has the file changed? Upload it anew, without an upload's id.",
                )
            return found
        if not resume:
            return None
        for found in self.list(status="open", sha256=sha256):
            said = {"filename": found.filename, "name": found.name, **found.raw.get("options", {})}
            if {name: value for name, value in said.items() if value is not None} == options:
                return found
        return None


class _StoppedError(Exception):
    """Another part has failed, or the user has had enough."""


class _Sending:
    """The parts of one file on their way."""

    def __init__(
        self, uploads: Uploads, upload: Upload, path: Path, size: int, on_bytes: Sent | None
    ) -> None:
        self._uploads = uploads
        self._upload = upload
        self._path = path
        self._size = size
        self._on_bytes = on_bytes
        self._sent: dict[int, int] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def run(self, threads: int) -> None:
        """Send what is not there; raises what the first part that failed has raised."""
        count = -(-self._size // self._upload.part_bytes)
        with ThreadPoolExecutor(max(1, threads), thread_name_prefix="upload") as pool:
            sending = [pool.submit(self._send, n) for n in range(1, count + 1)]
            try:
                done, _ = wait(sending, return_when=FIRST_EXCEPTION)
                failed = next((future for future in done if future.exception()), None)
                if failed is not None:
                    failed.result()
            finally:
                self._stopped.set()  # those still at it end at their next block
                pool.shutdown(wait=False, cancel_futures=True)

    def _send(self, n: int) -> None:
        length = min(self._upload.part_bytes, self._size - (n - 1) * self._upload.part_bytes)
        for tried in range(_SENT_AGAIN):
            digest = hashlib.sha256()
            for block in self._blocks(n, length):
                digest.update(block)
            if self._upload.parts.get(n) == digest.hexdigest():
                self._tell(n, length)
                return
            try:
                self._uploads.send_part(
                    self._upload,
                    n,
                    lambda: self._counted(n, length),
                    size=length,
                    sha256=digest.hexdigest(),
                )
            except ProblemError as problem:
                # damaged on the way; or the file has changed meanwhile, which completing finds out
                if problem.code != _DIGEST_MISMATCH or tried + 1 == _SENT_AGAIN:
                    raise
            else:
                return

    def _counted(self, n: int, length: int) -> Iterator[bytes]:
        sent = 0
        for block in self._blocks(n, length):
            yield block
            sent += len(block)
            self._tell(n, sent)

    def _blocks(self, n: int, length: int) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            file.seek((n - 1) * self._upload.part_bytes)
            left = length
            while left:
                if self._stopped.is_set():
                    raise _StoppedError
                block = file.read(min(READ_BYTES, left))
                if not block:
                    raise IntegrityError(f"{self._path.name} became shorter while it was being uploaded")
                left -= len(block)
                yield block

    def _tell(self, n: int, sent: int) -> None:
        with self._lock:
            self._sent[n] = sent
            if self._on_bytes:
                self._on_bytes(sum(self._sent.values()), self._size)


def _path(upload: str | Upload) -> str:
    return f"/v1/uploads/{id_in_path(upload)}"
