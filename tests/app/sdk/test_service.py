"""The SDK against the real service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.sdk.client import SteadyRank
from app.sdk.errors import (
    DatasetNotReadyError,
    ForbiddenError,
    NotFoundError,
    PayloadTooLargeError,
    UnauthorizedError,
    ValidationFailedError,
)
from tests.factories import CSV, make_ready_dataset


@pytest.fixture
def service(service_url: str, api_key: str) -> Iterator[SteadyRank]:
    with SteadyRank(service_url, api_key) as client:
        yield client


@pytest.fixture
def ready(database, blobs) -> str:
    """Id of a data set that can be trained on."""
    with database.unit_of_work() as session:
        return make_ready_dataset(session, blobs).id


def test_a_data_set_goes_up_and_comes_down_again(service, tmp_path):
    log = tmp_path / "log.csv"
    log.write_bytes(CSV)
    dataset = service.datasets.upload(log, name="mine", wait=False)
    assert (dataset.name, dataset.filename, dataset.status) == ("mine", "log.csv", "validating")
    assert dataset.bytes == len(CSV)
    assert dataset.created_at is not None
    streamed = service.datasets.upload(iter([CSV[:100], CSV[100:]]), filename="log.csv", wait=False)
    assert streamed.sha256 == dataset.sha256
    assert service.datasets.content(dataset, tmp_path / "back.csv").read_bytes() == CSV
    (tmp_path / "half.csv.part").write_bytes(CSV[:200])
    assert service.datasets.content(dataset, tmp_path / "half.csv").read_bytes() == CSV
    assert service.datasets.report(dataset)["problems"] == []
    assert service.datasets.delete(dataset)["freed_bytes"] == len(CSV)
    with pytest.raises(NotFoundError):
        service.datasets.get(dataset)


def test_lists_walk_real_pages(service):
    made = [service.datasets.upload(CSV, filename=f"{n}.csv", wait=False).id for n in range(5)]
    assert [dataset.id for dataset in service.datasets.list(page_size=2)] == made[::-1]


def test_refusals_arrive_as_their_exceptions(service, tmp_path, service_url):
    with pytest.raises(ValidationFailedError) as empty:
        service.datasets.upload(b"", filename="log.csv")
    assert empty.value.code == "empty_file"
    large = tmp_path / "large.csv"
    large.write_bytes(CSV * 20_000)
    with pytest.raises(PayloadTooLargeError):
        service.datasets.upload(large)
    with large.open("rb") as file, pytest.raises(PayloadTooLargeError):
        service.datasets.upload(iter(lambda: file.read(1 << 20), b""), filename="large.csv")
    with pytest.raises(NotFoundError) as missing:
        service.jobs.get("job_00000000000000000000000000")
    assert missing.value.request_id
    with SteadyRank(service_url, "sr_wrong") as stranger, pytest.raises(UnauthorizedError):
        stranger.datasets.get("ds_1")


def test_a_job_is_checked_submitted_listed_and_cancelled(service, ready):
    checked = service.jobs.validate(ready, epochs=7)
    assert (checked.dataset, checked.spec["epochs"]) == (ready.id if not isinstance(ready, str) else ready, 7)
    assert (
        0 < checked.estimate.seconds.low < checked.estimate.seconds.expected < checked.estimate.seconds.high
    )
    assert (checked.estimate.basis, checked.estimate.probe) == ("model", None)
    with pytest.raises(ValidationFailedError) as wrong:
        service.jobs.create(ready, epochs=0, no_such_thing=1)
    assert {fault.pointer for fault in wrong.value.errors} == {"/epochs", "/no_such_thing"}
    job = service.jobs.create(ready, name="mine", epochs=7, arms=["cascade"])
    assert (job.status, job.name, job.dataset, job.arms) == ("queued", "mine", ready, ("cascade",))
    assert job.queue["position"] == 1
    assert [found.id for found in service.jobs.list()] == [job.id]
    assert service.jobs.cancel(job).status == "cancelled"
    assert service.jobs.wait(job).status == "cancelled"
    events = list(service.jobs.events(job))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert list(service.jobs.metrics(job)) == []
    assert list(service.jobs.checkpoints(job)) == []
    assert list(service.models.list(job=job)) == []
    assert service.jobs.delete(job)["deleted"] is True


def test_two_clients_with_one_key_make_one_job(service, service_url, api_key, ready):
    first = service.jobs.create(ready, idempotency_key="nightly", epochs=7)
    with SteadyRank(service_url, api_key) as other:
        assert other.jobs.create(ready, idempotency_key="nightly", epochs=7) == first
        with pytest.raises(ValidationFailedError) as reused:
            other.jobs.create(ready, idempotency_key="nightly", epochs=8)
        assert reused.value.code == "idempotency_key_reused"
        second = other.jobs.create(ready, idempotency_key="k" * 255, epochs=7)
    assert [job.id for job in service.jobs.list()] == [second.id, first.id]


def test_a_job_on_a_data_set_that_is_still_being_read_is_refused(service):
    dataset = service.datasets.upload(CSV, filename="log.csv", wait=False)
    with pytest.raises(DatasetNotReadyError):
        service.jobs.create(dataset)


def test_health_and_capabilities(service):
    assert service.health()
    assert service.alive()
    with pytest.raises(ForbiddenError) as refused:
        service.metrics()
    assert refused.value.extra == {"needed_scope": "operator"}
    found = service.capabilities()
    assert {"sasrec", "gru4rec"} == {model.name for model in found.models}
    assert "end" in found.attacks["positions"]
    assert found.spec["properties"]["epochs"]["default"] == 400
    assert found.limits["max_upload_bytes"] > 0
    assert found.workers == ()
