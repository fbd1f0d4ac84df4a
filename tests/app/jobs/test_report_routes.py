"""What a succeeded job leaves to be read, over HTTP and the SDK."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.db.models.blob import Blob
from app.db.models.job import Job
from app.db.session import Database
from app.jobs import service as jobs
from app.jobs.results import succeed
from app.sdk.client import SteadyRank
from app.sdk.errors import ConflictError, NotFoundError
from app.storage.database import DatabaseBlobStore
from tests.app.jobs.conftest import Bench

# In an order that no database would give it back in.
REPORT = {"schema_version": 1, "arms": {"standard": {"z": 1, "a": 2}, "cascade": {}, "adversarial": {}}}
PAGE = "<!DOCTYPE html><title>né</title>"
FILES = {
    "report.json": json.dumps(REPORT).encode(),
    "report.html": PAGE.encode(),
    "report.md": b"# Report\n",
    "manifest.json": b'{"format": "steadyrank-manifest"}',
    "figures/pareto.svg": b"<svg/>",
    "figures/learning_curves.svg": b"<svg />",
}


@pytest.fixture
def job(bench: Bench, blobs: DatabaseBlobStore) -> str:
    return finished(bench, blobs, FILES)


def finished(bench: Bench, blobs: DatabaseBlobStore, files: dict[str, bytes]) -> str:
    job_id = bench.submit(arms=["standard", "cascade", "adversarial"])
    claimed = bench.take(job_id)
    with bench.database.unit_of_work() as session:
        documents = [(path, blobs.put(session, content)) for path, content in files.items()]
        succeed(session, claimed, models=[], report=REPORT, report_markdown="# Old\n", documents=documents)
    return job_id


@pytest.mark.parametrize(
    ("query", "accept", "file", "media_type"),
    [
        ("", "*/*", "report.json", "application/json"),
        ("", "text/html,application/xhtml+xml,*/*;q=0.8", "report.html", "text/html; charset=utf-8"),
        ("", "text/html;q=0.1, text/markdown", "report.md", "text/markdown; charset=utf-8"),
        ("", "text/html;q=0, text/plain", "report.json", "application/json"),
        ("?format=md", "text/html", "report.md", "text/markdown; charset=utf-8"),
        ("?format=html", "*/*", "report.html", "text/html; charset=utf-8"),
    ],
)
def test_a_report_comes_as_it_is_asked_for(
    client: httpx.Client, job: str, *, query: str, accept: str, file: str, media_type: str
) -> None:
    found = client.get(f"/v1/jobs/{job}/report{query}", headers={"Accept": accept})
    assert (found.status_code, found.content) == (200, FILES[file])
    assert found.headers["content-type"] == media_type
    assert found.headers["vary"] == "Accept"
    assert found.headers["etag"] == f'"{hashlib.sha256(FILES[file]).hexdigest()}"'
    again = client.get(
        f"/v1/jobs/{job}/report{query}", headers={"Accept": accept, "If-None-Match": found.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["report", "report?format=md", "manifest", "figures/pareto.svg"])
def test_what_can_be_fetched_can_be_asked_about(client: httpx.Client, job: str, path: str) -> None:
    whole, head = client.get(f"/v1/jobs/{job}/{path}"), client.head(f"/v1/jobs/{job}/{path}")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "etag", "content-type"):
        assert head.headers[name] == whole.headers[name]


def test_what_a_browser_draws_can_run_nothing(client: httpx.Client, job: str) -> None:
    for path in ("report?format=html", "figures/pareto.svg"):
        headers = client.get(f"/v1/jobs/{job}/{path}").headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "sandbox" in headers["content-security-policy"]
        assert "script-src" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_manifest_and_figures(client: httpx.Client, job: str) -> None:
    manifest = client.get(f"/v1/jobs/{job}/manifest")
    assert manifest.json() == {"format": "steadyrank-manifest"}
    assert manifest.headers["etag"]
    listed = client.get(f"/v1/jobs/{job}/figures").json()
    assert [row["id"] for row in listed["data"]] == ["learning_curves", "pareto"]
    first = client.get(f"/v1/jobs/{job}/figures?limit=1").json()
    assert (first["last_id"], first["has_more"]) == ("learning_curves", True)
    rest = client.get(f"/v1/jobs/{job}/figures?limit=1&after={first['last_id']}").json()
    assert ([row["id"] for row in rest["data"]], rest["has_more"]) == (["pareto"], False)
    assert listed["data"][1]["sha256"] == hashlib.sha256(b"<svg/>").hexdigest()
    drawn = client.get(f"/v1/jobs/{job}/figures/pareto.svg")
    assert (drawn.content, drawn.headers["content-type"]) == (b"<svg/>", "image/svg+xml")
    missing = client.get(f"/v1/jobs/{job}/figures/other.svg")
    assert (missing.status_code, missing.json()["code"]) == (404, "figure_not_found")


@pytest.mark.parametrize("end", ["report", "report?format=html", "manifest", "figures", "figures/pareto.svg"])
def test_before_the_end_and_from_elsewhere_there_is_nothing(
    client: httpx.Client, bench: Bench, job: str, stranger_headers: dict[str, str], end: str
) -> None:
    waiting: Any = client.get(f"/v1/jobs/{bench.submit()}/{end}")
    assert (waiting.status_code, waiting.json()["code"]) == (409, "report_not_ready")
    strange = client.get(f"/v1/jobs/{job}/{end}", headers=stranger_headers)
    assert (strange.status_code, strange.json()["code"]) == (404, "job_not_found")


def test_a_job_of_an_earlier_version_has_its_report_with_its_arms_in_order(
    client: httpx.Client, bench: Bench, blobs: DatabaseBlobStore
) -> None:
    job = finished(bench, blobs, {})
    report = client.get(f"/v1/jobs/{job}/report").json()
    assert report == REPORT
    assert list(report["arms"]) == ["standard", "cascade", "adversarial"]
    page = client.get(f"/v1/jobs/{job}/report?format=md")
    assert page.text == "# Old\n"
    known = {"If-None-Match": page.headers["etag"]}
    answers = [client.get(f"/v1/jobs/{job}/report{query}", headers=known) for query in ("?format=md", "")]
    assert [answer.status_code for answer in answers] == [304, 200]
    assert client.get(f"/v1/jobs/{job}/figures").json()["data"] == []
    for end, code in (("report?format=html", "page_not_found"), ("manifest", "manifest_not_found")):
        missing = client.get(f"/v1/jobs/{job}/{end}")
        assert (missing.status_code, missing.json()["code"]) == (404, code)


def test_the_sdk_reads_all_of_it(service: SteadyRank, bench: Bench, job: str) -> None:
    assert json.dumps(service.jobs.report(job)) == json.dumps(REPORT)
    assert service.jobs.report(job, format="html") == PAGE
    assert service.jobs.report_markdown(job) == "# Report\n"
    assert service.jobs.manifest(job)["format"] == "steadyrank-manifest"
    assert service.jobs.figures(job) == ("learning_curves", "pareto")
    assert service.jobs.figure(job, "pareto") == "<svg/>"
    with pytest.raises(NotFoundError):
        service.jobs.figure(job, "../report")
    with pytest.raises(ConflictError):
        service.jobs.manifest(bench.submit())


def test_deleting_the_job_frees_them(bench: Bench, blobs: DatabaseBlobStore, job: str) -> None:
    database: Database = bench.database

    def count() -> int:
        with database.unit_of_work() as session:
            return session.execute(select(func.count()).select_from(Blob)).scalar_one()

    before = count()
    with database.unit_of_work() as session:
        freed, _ = jobs.delete(session, blobs, _project(database, job), job, models=False)
    assert freed == sum(map(len, FILES.values()))
    assert count() == before - len(FILES)


def _project(database: Database, job: str) -> str:
    with database.unit_of_work() as session:
        return session.get_one(Job, job).project_id
