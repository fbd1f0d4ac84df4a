"""A model as one zip: what is in it, that it is always the same bytes, and that it works by itself."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.db.session import Database
from app.models import zipping
from app.models.zipping import Member, zip_bytes, zip_size
from app.storage.database import DatabaseBlobStore
from tests.stored_models import model_files, store_models

# Nothing but numpy and the standard library: what else the loader wanted would fail here.
ALONE = """
import sys, runpy
for name in ("torch", "pydantic", "safetensors", "polars", "app", "worker", "fastapi", "httpx"):
    sys.modules[name] = None
sys.path.insert(0, ".")
sys.argv = ["load.py", "-k", "4", "i1", "i2", "i3"]
runpy.run_path("load.py", run_name="__main__")
"""


@pytest.fixture
def model_id(database: Database, blobs: DatabaseBlobStore) -> str:
    (model_id,) = store_models(database, blobs)
    return model_id


def test_a_bundle_holds_all_and_recommends_as_the_service_does(
    client: httpx.Client, model_id: str, tmp_path: Path
) -> None:
    path = f"/v1/models/{model_id}/bundle"
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/zip"
    assert response.headers["content-length"] == str(len(response.content))
    assert response.headers["etag"] == f'"{hashlib.sha256(response.content).hexdigest()}"'
    assert "films-sasrec-cascade-1.zip" in response.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {*model_files(), "report.json", "portable.py", "load.py"} == set(archive.namelist())
        assert json.loads(archive.read("report.json"))["protocol_hash"] == "protocol 1"
        for name, content in model_files().items():
            assert archive.read(name) == content
        archive.extractall(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-I", "-c", ALONE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    refused = subprocess.run(
        [sys.executable, "-I", "-c", ALONE.replace('"i3"', '"nobody knows"')],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stderr.endswith("load.py: error: unknown items: 'nobody knows'\n")
    asked = client.post(f"/v1/models/{model_id}/recommend", json={"history": ["i1", "i2", "i3"], "k": 4})
    ours = asked.json()["data"][0]["items"]
    theirs = json.loads(ran.stdout)
    assert [row["item"] for row in theirs] == [row["item"] for row in ours]
    assert [row["score"] for row in theirs] == pytest.approx([row["score"] for row in ours], abs=1e-6)


def test_a_bundle_is_always_the_same_bytes_and_resumes(client: httpx.Client, model_id: str) -> None:
    path = f"/v1/models/{model_id}/bundle"
    whole = client.get(path)
    assert client.get(path).content == whole.content
    etag = whole.headers["etag"]
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 304
    for start, stop in ((0, 10), (700, 1500), (len(whole.content) - 5, len(whole.content))):
        part = client.get(path, headers={"Range": f"bytes={start}-{stop - 1}", "If-Range": etag})
        assert (part.status_code, part.content) == (206, whole.content[start:stop])
    assert client.head(path).headers["content-length"] == str(len(whole.content))
    assert client.get("/v1/models/mdl_x/bundle").json()["code"] == "model_not_found"


def test_without_its_job_a_bundle_has_no_report(client: httpx.Client, model_id: str) -> None:
    with_report = client.get(f"/v1/models/{model_id}/bundle")
    job = client.get(f"/v1/models/{model_id}").json()["job"]
    assert client.delete(f"/v1/jobs/{job}").status_code == 200
    without = client.get(f"/v1/models/{model_id}/bundle")
    assert without.headers["etag"] != with_report.headers["etag"]
    names = zipfile.ZipFile(io.BytesIO(without.content)).namelist()
    assert "report.json" not in names
    assert "load.py" in names


def _member(path: str, data: bytes) -> Member:
    def read() -> Iterator[bytes]:
        yield data[:7]
        yield data[7:]

    return Member(path, len(data), read)


@pytest.mark.parametrize("limit", [None, 50, 500])
def test_the_size_is_known_before_the_bytes(limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if limit is not None:  # as if sizes took 64 bits from here on
        monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
        monkeypatch.setattr(zipping, "LARGEST_32_BIT", limit)
    members = [_member("a.json", b"x" * 40), _member("söme/wëights", b"y" * 900), _member("empty", b"")]
    whole = b"".join(zip_bytes(members))
    assert len(whole) == zip_size(members)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        assert [len(archive.read(member.path)) for member in members] == [40, 900, 0]
