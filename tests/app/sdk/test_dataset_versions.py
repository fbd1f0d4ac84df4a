"""Reports, previews and versions of data sets through the SDK; real service, and its light worker's code."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from app.sdk.client import SteadyRank
from app.sdk.datasets import forgotten_unknown
from app.sdk.errors import DatasetRejectedError, NotFoundError
from tests.factories import CSV
from worker.datasets import validate_dataset
from worker.resources import Resources


@pytest.fixture
def service(service_url: str, api_key: str, settings, database, blobs) -> Iterator[SteadyRank]:
    """A client; a light worker looks for work all the while."""
    resources, ended = Resources(settings, database, blobs), threading.Event()

    def work() -> None:
        while not ended.wait(0.05):
            for dataset in client.datasets.list():
                if dataset.status == "validating":
                    validate_dataset(dataset.id, resources=resources, stopping=ended)

    with SteadyRank(service_url, api_key) as client:
        thread = threading.Thread(target=work)
        thread.start()
        yield client
        ended.set()
        thread.join()


def test_from_a_finding_to_a_version_without_it(service, tmp_path):
    first = service.datasets.upload(CSV + b"u0,i0,1700000000\n", filename="log.csv", name="log")
    assert (first.version, first.lineage, first.same_content_as) == (1, None, None)
    report = service.datasets.report(first)
    fixes = [finding["fix"]["name"] for finding in report["findings"] if finding["code"] == "duplicates"]
    assert "| warning | duplicates |" in service.datasets.report(first, format="md")
    second = service.datasets.transform(first, fixes)
    assert (second.version, second.stats["interactions"], second.lineage["parent"]) == (2, 30, first.id)
    assert service.datasets.preview(second, limit=1)["rows"][0]["user"] == "u0"
    twin = service.datasets.upload(CSV, filename="log.csv")
    assert (twin.same_content_as, twin.content_sha256) == (second.id, second.content_sha256)
    assert twin.sha256 != second.sha256
    assert service.datasets.get(first).used_by["dataset_ids"] == [second.id]
    assert service.datasets.content(second, tmp_path / "log.parquet").stat().st_size == second.bytes


def test_forgetting_names_those_who_were_not_there(service):
    first = service.datasets.upload(CSV, filename="log.csv")
    users = ["u1", "stranger", "u2"]
    second = service.datasets.forget(first, users, delete_parent=True)
    assert second.stats["users"] == 4
    assert forgotten_unknown(second, users) == ["stranger"]
    with pytest.raises(NotFoundError):
        service.datasets.get(first)
    with pytest.raises(DatasetRejectedError) as unknown:
        service.datasets.forget(second, ["u1"])
    assert unknown.value.dataset.problems[0].code == "unknown_users"
