"""Uploads in parts by the SDK, against the real service."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db.models.upload import Upload
from app.sdk.client import SteadyRank
from app.sdk.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    ProblemError,
    ValidationFailedError,
)

MIB = 1 << 20
DATA = b"user_id,item_id,timestamp\n" + b"".join(
    b"u%d,i%d,%d\n" % (n % 997, n % 89, n) for n in range(190_000)
)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def service(service_url: str, api_key: str) -> Iterator[SteadyRank]:
    with SteadyRank(service_url, api_key) as client:
        yield client


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_bytes(DATA)
    return path


def test_a_large_file_goes_up_in_parts_by_itself(service, log, tmp_path):
    told = []
    dataset = service.datasets.upload(
        log, name="mine", wait=False, parts_above=MIB, on_bytes=lambda done, total: told.append((done, total))
    )
    assert (dataset.sha256, dataset.name, dataset.filename) == (SHA256, "mine", "log.csv")
    assert told[-1] == (len(DATA), len(DATA))
    (upload,) = service.uploads.list(sha256=SHA256)
    assert (upload.status, upload.dataset) == ("completed", dataset.id)
    assert service.datasets.content(dataset, tmp_path / "back.csv").read_bytes() == DATA
    one_call = service.datasets.upload(log, wait=False)
    assert len(list(service.uploads.list())) == 1
    assert one_call.id != dataset.id
    assert service.uploads.complete(upload).id == dataset.id


CRASHING = """
import os, signal, sys
from pathlib import Path
from app.sdk.client import SteadyRank

def told(done, total):
    if done > {after}:
        os.kill(os.getpid(), signal.SIGKILL)

with SteadyRank() as client:
    client.uploads.send_file(
        Path(sys.argv[1]), options={{"filename": "log.csv"}}, threads=1, part_bytes=1 << 20, on_bytes=told
    )
"""


def test_after_a_crash_only_what_is_missing_is_sent(service, service_url, api_key, log, monkeypatch):
    environment = {**os.environ, "STEADYRANK_URL": service_url, "STEADYRANK_API_KEY": api_key}
    killed = subprocess.run(
        [sys.executable, "-c", CRASHING.format(after=MIB + 1000), str(log)], env=environment, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    (left,) = service.uploads.list(status="open", sha256=SHA256)
    assert (sorted(left.parts), left.missing) == ([1], (2, 3))

    numbers = []
    send_part = service.uploads.send_part

    def noted(upload, n, blocks, **given):
        numbers.append(n)
        send_part(upload, n, blocks, **given)

    monkeypatch.setattr(service.uploads, "send_part", noted)
    dataset = service.uploads.send_file(log, options={"filename": "log.csv"})
    assert (sorted(numbers), dataset.sha256) == ([2, 3], SHA256)
    assert service.uploads.get(left).dataset == dataset.id


def test_another_file_or_other_options_do_not_go_on_with_it(service, log, tmp_path):
    begun = service.uploads.open(bytes=len(DATA), sha256=SHA256, filename="log.csv")
    changed = tmp_path / "changed.csv"
    changed.write_bytes(DATA[:-1] + b"\r")
    with pytest.raises(IntegrityError, match="another size or SHA-256"):
        service.datasets.upload(changed, upload_id=begun.id)
    service.datasets.upload(log, wait=False, parts_above=0, user_column="user_id")
    service.datasets.upload(log, wait=False, parts_above=0, resume=False)
    assert service.uploads.get(begun).parts == {}
    dataset = service.datasets.upload(log, wait=False, upload_id=begun.id)
    assert service.uploads.get(begun).dataset == dataset.id


@pytest.mark.parametrize("parts_above", [0, 64 * MIB])
def test_one_file_under_one_key_is_one_data_set(service, log, parts_above):
    def upload():
        return service.datasets.upload(log, wait=False, parts_above=parts_above, idempotency_key="nightly")

    made = upload()
    assert upload().id == made.id
    log.write_bytes(DATA + b"u1,i1,1\n")
    with pytest.raises(ValidationFailedError) as reused:
        upload()
    assert reused.value.code == "idempotency_key_reused"
    assert [dataset.id for dataset in service.datasets.list()] == [made.id]


def test_a_key_goes_on_with_the_parts_that_are_there(service, log):
    opened = service.uploads.open(
        bytes=len(DATA), sha256=SHA256, filename="log.csv", idempotency_key="nightly"
    )
    size = min(len(DATA), opened.part_bytes)
    first = DATA[:size]
    digest = hashlib.sha256(first).hexdigest()
    service.uploads.send_part(opened, 1, lambda: iter([first]), size=size, sha256=digest)
    made = service.datasets.upload(log, wait=False, parts_above=0, idempotency_key="nightly")
    assert service.uploads.get(opened).dataset == made.id


def test_a_stored_part_that_differs_is_sent_again(service, log):
    begun = service.uploads.open(bytes=len(DATA), sha256=SHA256, part_bytes=MIB, filename="log.csv")
    wrong = DATA[1 : MIB + 1]
    service.uploads.send_part(
        begun, 2, lambda: iter([wrong]), size=MIB, sha256=hashlib.sha256(wrong).hexdigest()
    )
    assert service.uploads.send_file(log, options={"filename": "log.csv"}).sha256 == SHA256


def test_a_part_waits_while_another_request_is_at_the_upload(service, database, monkeypatch):
    begun = service.uploads.open(filename="log.csv")
    slept = []
    with ExitStack() as at_it:
        session = at_it.enter_context(database.unit_of_work())
        session.execute(select(Upload).where(Upload.id == begun.id).with_for_update())

        def leave(seconds):
            slept.append(seconds)
            at_it.close()

        monkeypatch.setattr(service._transport, "sleep", leave)
        service.uploads.send_part(begun, 1, lambda: iter([DATA]), size=len(DATA), sha256=SHA256)
    assert (slept, service.uploads.get(begun).missing) == ([1.0], ())


def test_a_file_that_shrinks_meanwhile_is_an_error_and_nothing_is_made_of_it(service, log):
    def shrink(done: int, total: int | None) -> None:
        os.truncate(log, MIB)

    with pytest.raises((IntegrityError, ProblemError)):
        service.uploads.send_file(log, options={}, threads=2, part_bytes=MIB, on_bytes=shrink)
    assert list(service.datasets.list()) == []


def test_an_upload_by_hand(service):
    begun = service.uploads.open(filename="log.csv")
    with pytest.raises(ConflictError) as early:
        service.uploads.complete(begun)
    assert early.value.code == "upload_incomplete"
    service.uploads.send_part(begun, 1, lambda: iter([DATA]), size=len(DATA), sha256=SHA256)
    assert service.uploads.get(begun.id).received_bytes == len(DATA)
    assert service.uploads.abandon(begun)["freed_bytes"] == len(DATA)
    with pytest.raises(NotFoundError):
        service.uploads.get(begun)
