"""Lists of jobs that fit, and that they are read through indexes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import select, text

from app.db.models.job import Job
from app.db.session import Database
from app.sdk.client import SteadyRank


def test_jobs_are_found_by_model_and_by_when_they_were_submitted(
    client: httpx.Client, service: SteadyRank, bench: Any, database: Database
) -> None:
    old, middle, new = bench.submit(model="gru4rec"), bench.submit(), bench.submit(model="gru4rec")
    at = datetime.fromisoformat(client.get(f"/v1/jobs/{middle}").json()["created_at"])

    def ids(**query: Any) -> list[str]:
        return [job["id"] for job in client.get("/v1/jobs", params=query).json()["data"]]

    assert ids(model="gru4rec") == [new, old]
    assert ids(created_after=at.isoformat()) == [new]
    assert ids(created_before=at.isoformat()) == [old]
    assert ids(created_after=(at - timedelta(days=1)).isoformat(), model="sasrec") == [middle]
    assert ids(created_before="0001-01-01T00:00:00Z") == []
    assert ids(created_after="9999-12-31T00:00:00Z") == []
    assert [job.id for job in service.jobs.list(created_before=at, model="gru4rec")] == [old]
    with database.unit_of_work() as session:
        session.get_one(Job, old).labels = {"team": "a", "run": "1"}
    assert ids(label=["team=a", "run"]) == [old]
    assert ids(label=["team=a", "team=b"]) == []
    for wrong in ({"model": "bert"}, {"created_after": "2025-01-01T00:00:00"}, {"created_before": "now"}):
        assert client.get("/v1/jobs", params=wrong).status_code == 422


MANY = """
    INSERT INTO jobs
        (id, project_id, name, spec, max_attempts, dataset_facts, labels, status, ended_at, report)
    SELECT 'job_' || lpad(n::text, 26, '0'), project_id, name, spec, max_attempts,
        jsonb_build_object('id', 'ds_' || n % 500), jsonb_build_object('run', n::text),
        CASE WHEN n % 100 = 0 THEN 'paused' ELSE 'succeeded' END,
        CASE WHEN n % 100 = 0 THEN NULL ELSE now() END, '{}'::jsonb
    FROM jobs, generate_series(1, 5000) n
"""

PAGES = {
    "ix_jobs_of_status": "EXPLAIN SELECT id FROM jobs"
    " WHERE project_id = :project AND status = 'paused' ORDER BY id DESC LIMIT 21",
    "ix_jobs_of_dataset": "EXPLAIN SELECT id FROM jobs"
    " WHERE project_id = :project AND (dataset_facts ->> 'id') = 'ds_3' ORDER BY id DESC LIMIT 21",
    "ix_jobs_labels": "EXPLAIN SELECT id FROM jobs"
    """ WHERE project_id = :project AND labels @> '{"run"\\: "4321"}' ORDER BY id DESC LIMIT 21""",
}


def test_pages_of_many_jobs_that_fit_are_read_through_indexes(bench: Any, database: Database) -> None:
    bench.submit()
    with database.sessions() as session:
        session.execute(text(MANY))
        session.execute(text("ANALYZE jobs"))
        project = session.execute(select(Job.project_id).limit(1)).scalar_one()
        for index, statement in PAGES.items():
            plan = "\n".join(session.execute(text(statement), {"project": project}).scalars())
            assert index in plan, plan
            assert "Seq Scan" not in plan
        session.rollback()
