"""What a job is expected to take: by a formula at first, then by what finished jobs took; and its score."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from app.db.models.job import Job
from app.db.models.job_attempt import JobAttempt
from app.db.models.job_metric import JobMetric
from app.db.session import Database
from app.jobs.results import FinishedModel, succeed
from app.storage.database import DatabaseBlobStore

SPEC: dict[str, Any] = {"epochs": 10, "warmup_epochs": 2, "arms": ["standard", "cascade"]}


def estimated(client: httpx.Client, bench: Any, **given: Any) -> dict[str, Any]:
    body = {"dataset": bench.dataset_id, **SPEC, **given}
    answer = client.post("/v1/jobs?validate_only=true", json=body)
    assert answer.status_code == 200, answer.text
    estimate: dict[str, Any] = answer.json()["estimate"]
    return estimate


def finish(
    database: Database,
    bench: Any,
    seconds: float,
    *,
    trained: int = 8,
    cascade: str = "cascade",
    stop_reason: str | None = None,
    **given: Any,
) -> str:
    """A job whose arms trained so many epochs after the warm-up, and that took so many seconds."""
    claimed = bench.take(bench.submit(**{**SPEC, **given}))
    with database.unit_of_work() as session:
        for arm, last in (("warmup", 2), ("standard", trained), (cascade, trained)):
            session.add_all(
                JobMetric(job_id=claimed.job_id, seed=0, arm=arm, epoch=n, attempt=1, loss=0.5, seconds=0.1)
                for n in range(last)
            )
        attempt = update(JobAttempt).where(JobAttempt.job_id == claimed.job_id)
        session.execute(attempt.values(started_at=JobAttempt.started_at - timedelta(seconds=seconds)))
        report = {"protocol_hash": "x"}
        succeed(session, claimed, models=[], report=report, report_markdown="", stop_reason=stop_reason)
    return str(claimed.job_id)


def test_without_finished_jobs_a_formula_is_widely_believed(client: httpx.Client, bench: Any) -> None:
    small = estimated(client, bench)
    assert (small["basis"], small["sample_jobs"], small["models"], small["epochs"]) == ("model", 0, 2, 18)
    seconds = small["seconds"]
    assert 0 < seconds["low"] < seconds["expected"] < seconds["high"]
    large = estimated(client, bench, epochs=5000, seeds=[0, 1], hidden_size=512)
    assert large["seconds"]["expected"] > 3 * seconds["expected"]
    assert large["peak_memory_bytes"] > small["peak_memory_bytes"] > 100 * 2**20
    assert large["stored_bytes"] > small["stored_bytes"] > 0


def test_shares_that_are_tried_are_counted_once_each_with_the_first_seed(
    client: httpx.Client, bench: Any, database: Database
) -> None:
    plain = estimated(client, bench, seeds=[0, 1])
    searching: dict[str, Any] = {"seeds": [0, 1], "search_shares": [0.1, 0.2, 0.3]}
    searched = estimated(client, bench, **searching)
    assert (searched["models"], plain["models"]) == (4, 4)
    assert searched["epochs"] - plain["epochs"] == 2 * 8  # two trainings more, without a warm-up
    longer = [estimated(client, bench, epochs=5000, **one)["seconds"] for one in ({}, searching)]
    assert longer[1]["expected"] > 1.5 * longer[0]["expected"]
    # What such a job took teaches others, its trainings at every share counted as the arm's.
    finish(database, bench, 40.0, cascade="cascade_at_0.2", **searching)
    assert estimated(client, bench, **searching)["seconds"]["expected"] == pytest.approx(40, rel=0.5)


def test_finished_jobs_teach_and_are_scored(client: httpx.Client, bench: Any, database: Database) -> None:
    first = client.get(f"/v1/jobs/{finish(database, bench, 40.0)}").json()["estimate"]
    assert (first["basis"], first["actual_seconds"]) == ("model", pytest.approx(40, abs=5))
    assert first["ratio"] == pytest.approx(first["actual_seconds"] / first["seconds"]["expected"], rel=0.01)
    after_one = estimated(client, bench)
    assert (after_one["basis"], after_one["sample_jobs"]) == ("history", 1)
    assert after_one["seconds"]["expected"] == pytest.approx(40, rel=0.2)
    for took in (60.0, 50.0):
        finish(database, bench, took)
    after_three = estimated(client, bench)
    assert after_three["seconds"]["expected"] == pytest.approx(50, rel=0.2)
    assert after_three["seconds"]["low"] <= 50
    assert after_three["seconds"]["high"] >= 60
    assert estimated(client, bench, epochs=5000)["seconds"]["expected"] > 55
    assert estimated(client, bench, model="gru4rec")["basis"] == "model"
    last = client.get(f"/v1/jobs/{finish(database, bench, 50.0)}").json()["estimate"]
    assert (last["basis"], last["sample_jobs"]) == ("history", 3)
    assert last["ratio"] == pytest.approx(1.0, abs=0.2)
    scores = client.get("/v1/capabilities").json()["estimates"]
    assert scores["jobs"] == 4
    assert scores["within_factor_2"] >= 0.25
    by_basis = scores["by_basis"]
    assert {basis: fits["seconds"]["jobs"] for basis, fits in by_basis.items()} == {"history": 3, "model": 1}
    assert by_basis["history"]["seconds"]["within_factor_2"] == 1.0
    unknown = {"jobs": 0, "median_ratio": None, "within_factor_2": None}
    assert by_basis["model"]["peak_memory_bytes"] == unknown  # nobody said what these took


def test_memory_and_bytes_are_scored_too(
    client: httpx.Client, bench: Any, database: Database, blobs: DatabaseBlobStore
) -> None:
    claimed = bench.take(bench.submit(**SPEC))
    with database.unit_of_work() as session:
        expected = session.get_one(Job, claimed.job_id).estimate
        assert expected is not None
        size = expected["stored_bytes"] // 4
        file, document = blobs.put(session, bytes(size)), blobs.put(session, b"report")
        (model,) = [FinishedModel("cascade", 0, {}, (("weights.safetensors", file),))]
        succeed(
            session,
            claimed,
            models=[model],
            report={"protocol_hash": "x"},
            report_markdown="",
            documents=[("report.json", document)],
            peak_memory_bytes=expected["peak_memory_bytes"],
        )
    found = client.get(f"/v1/jobs/{claimed.job_id}").json()["estimate"]
    assert found["actual_stored_bytes"] == size + len(b"report")
    assert found["actual_peak_memory_bytes"] == expected["peak_memory_bytes"]
    fits = client.get("/v1/capabilities").json()["estimates"]["by_basis"]["model"]
    assert fits["peak_memory_bytes"] == {"jobs": 1, "median_ratio": 1.0, "within_factor_2": 1.0}
    assert fits["stored_bytes"]["median_ratio"] == pytest.approx(0.25, abs=0.001)
    assert fits["stored_bytes"]["within_factor_2"] == 0.0


def test_finished_jobs_teach_memory_and_bytes_too(
    client: httpx.Client, bench: Any, database: Database
) -> None:
    before = estimated(client, bench)
    for memory, stored in ((2, 0.5), (3, 0.25), (9, 0.125)):
        job_id = finish(database, bench, 40.0)
        with database.unit_of_work() as session:
            job = session.get_one(Job, job_id)
            job.estimate = {
                **(job.estimate or {}),
                "actual_peak_memory_bytes": memory * before["peak_memory_bytes"],
                "actual_stored_bytes": round(stored * before["stored_bytes"]),
            }
    after = estimated(client, bench)
    assert after["peak_memory_bytes"] == 3 * before["peak_memory_bytes"]
    assert after["stored_bytes"] == pytest.approx(before["stored_bytes"] / 4, abs=1)
    assert after["sample_jobs"] == 3


def test_a_job_whose_retrainings_were_cut_short_teaches_nothing_of_time(
    client: httpx.Client, bench: Any, database: Database
) -> None:
    job = finish(database, bench, 1.0, stability_changes=50, stability_epochs=10, stop_reason="max_runtime")
    assert client.get(f"/v1/jobs/{job}").json()["estimate"]["ratio"] < 1
    assert estimated(client, bench)["basis"] == "model"


def test_no_estimate_is_zero_and_one_of_an_earlier_version_that_is_ends_no_job(
    client: httpx.Client, bench: Any, database: Database
) -> None:
    finish(database, bench, 0.0, epochs=100, trained=90, seeds=[0])
    assert estimated(client, bench)["seconds"]["low"] > 0
    claimed = bench.take(bench.submit(**SPEC))
    with database.unit_of_work() as session:
        job = session.get_one(Job, claimed.job_id)
        assert job.estimate is not None
        job.estimate = {**job.estimate, "seconds": {"low": 0.0, "expected": 0.0, "high": 0.0}}
    with database.unit_of_work() as session:
        succeed(session, claimed, models=[], report={"protocol_hash": "x"}, report_markdown="")
    shown = client.get(f"/v1/jobs/{claimed.job_id}").json()
    assert (shown["status"], shown["estimate"]["ratio"]) == ("succeeded", None)


def test_jobs_that_stopped_early_lower_what_is_expected_but_not_the_most(
    client: httpx.Client, bench: Any, database: Database
) -> None:
    given = {"epochs": 4000, "min_epochs": 4000}
    finish(database, bench, 40.0, trained=8, **given)
    seconds = estimated(client, bench, **given)["seconds"]
    assert seconds["expected"] == pytest.approx(40, rel=0.2)
    assert seconds["high"] > 1.25 * seconds["expected"]


def test_anothers_jobs_teach_nothing(
    client: httpx.Client, bench: Any, database: Database, stranger_headers: dict[str, str]
) -> None:
    finish(database, bench, 40.0)
    scores = client.get("/v1/capabilities", headers=stranger_headers).json()["estimates"]
    assert scores == {"jobs": 0, "median_ratio": None, "within_factor_2": None, "by_basis": {}}
