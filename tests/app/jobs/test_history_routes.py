"""A job's events and metrics over real HTTP."""

from __future__ import annotations

from typing import get_args

import httpx

from app.db.models.job_metric import JobMetric
from app.db.session import Database
from tests.app.jobs.conftest import Bench
from tests.problems import problem
from worker.training.settings import Arm


def test_events_are_read_from_where_one_left_off(client: httpx.Client, bench: Bench) -> None:
    job_id = bench.submit()
    bench.take(job_id)
    client.post(f"/v1/jobs/{job_id}/cancel")
    page = client.get(f"/v1/jobs/{job_id}/events?limit=2").json()
    assert [event["sequence"] for event in page["data"]] == [1, 2]
    assert page["has_more"]
    assert page["data"][1]["data"] == {"from": "queued", "to": "running", "attempt": 1}
    for after in (page["last_id"], 2):
        rest = client.get(f"/v1/jobs/{job_id}/events?after={after}").json()
        assert [event["sequence"] for event in rest["data"]] == [3]
        assert not rest["has_more"]
    for wrong in ("x", "evt_00000000000000000000000000", "-1"):
        problem(client.get(f"/v1/jobs/{job_id}/events?after={wrong}"), 422, "unknown_cursor")


def test_metrics_come_in_the_order_in_which_epochs_ended(
    client: httpx.Client, database: Database, bench: Bench
) -> None:
    job_id = bench.submit()
    with database.unit_of_work() as session:
        for arm, epoch in (("warmup", 1), ("standard", 2), ("cascade_replacement", 2), ("cascade", 2)):
            row = {"validation": {"ndcg@10": 0.5}, "seconds": 1.0, "loss": 0.25, "attempt": 1}
            session.add(JobMetric(job_id=job_id, seed=0, arm=arm, epoch=epoch, **row))
            session.flush()
    page = client.get(f"/v1/jobs/{job_id}/metrics?limit=2").json()
    assert [(row["arm"], row["epoch"]) for row in page["data"]] == [("warmup", 1), ("standard", 2)]
    assert page["data"][0]["validation"] == {"ndcg@10": 0.5}
    rest = client.get(f"/v1/jobs/{job_id}/metrics?after={page['last_id']}").json()
    assert [row["arm"] for row in rest["data"]] == ["cascade_replacement", "cascade"]
    problem(client.get(f"/v1/jobs/{job_id}/metrics?after=0-cascade-9"), 422, "unknown_cursor")


def test_the_id_of_an_epoch_of_any_arm_is_a_place_to_go_on_from(
    client: httpx.Client, database: Database, bench: Bench
) -> None:
    job_id = bench.submit()
    shares = ("cascade_at_0.1", "adversarial_at_1e-05", f"cascade_replacement_at_{0.1 + 0.2}")
    arms = ("warmup", *get_args(Arm), *shares)
    with database.unit_of_work() as session:
        for arm in arms:
            row = {"validation": None, "seconds": 1.0, "loss": 0.25, "attempt": 1}
            session.add(JobMetric(job_id=job_id, seed=0, arm=arm, epoch=1, **row))
            session.flush()
    path, seen = f"/v1/jobs/{job_id}/metrics?limit=1", []
    page = client.get(path).json()
    while page["data"]:
        seen += [row["arm"] for row in page["data"]]
        page = client.get(f"{path}&after={page['last_id']}").json()
    assert seen == list(arms)
