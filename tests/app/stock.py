"""Something of every kind in one project, so that a test of all operations finds what it asks for."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import httpx
import polars as pl

from app.db.models.checkpoint import Checkpoint
from app.db.models.dataset import Dataset
from app.db.models.job import Job
from app.db.models.job_metric import JobMetric
from app.db.models.model import Model
from app.db.session import Database
from app.jobs.claims import claim
from app.jobs.results import FinishedModel, succeed
from app.models import batches
from app.storage.database import DatabaseBlobStore
from tests.factories import CSV, make_job, make_ready_dataset
from tests.stored_models import model_files

LEASE = timedelta(hours=2)
REPORT = {
    "schema_version": 1,
    "protocol_hash": "0" * 64,
    "arms": {"cascade": {"test": {"ndcg@10": 0.2}, "attacks": []}},
}
DOCUMENTS = {
    "report.json": json.dumps(REPORT).encode(),
    "report.html": b"<!DOCTYPE html><title>report</title>",
    "report.md": b"# Report\n",
    "manifest.json": b'{"format": "steadyrank-manifest"}',
    "figures/pareto.svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
}

Stock = dict[str, list[str]]
"""Ids by the name of the path's parameter that takes them."""


def stock_up(database: Database, blobs: DatabaseBlobStore, client: httpx.Client) -> Stock:
    """Fill the client's project, whose name is `default`, past what needs a worker."""
    parquet = io.BytesIO()
    columns = {"user": ["a", "b", "a"], "item": ["i1", "i2", "i3"], "timestamp": [1, 2, 3]}
    pl.DataFrame(columns).write_parquet(parquet)
    with database.unit_of_work() as session:
        datasets = [
            make_ready_dataset(session, blobs, name=name, canonical=parquet.getvalue()).id
            for name in ("a.csv", "b.csv", "c.csv")
        ]
        queued, running, succeeded = (
            [make_job(session, session.get_one(Dataset, datasets[0]), name="films").id for _ in range(number)]
            for number in (4, 2, 3)
        )
    checkpoints = [_run(database, blobs, job_id) for job_id in running]
    models = [_succeed(database, blobs, job_id) for job_id in succeeded]
    with database.unit_of_work() as session:
        (name,) = {session.get_one(Model, model).name for model in models}
    return {
        "dataset_id": datasets,
        "job_id": [*queued, *running, *succeeded],
        "checkpoint_id": checkpoints,
        "model_id": [*models, f"{name}@1"],
        "recommendation_id": [_recommend(database, blobs, client, model, datasets[1]) for model in models],
        "upload_id": [_upload(client) for _ in range(3)],
        "api_key_id": [_made(client, "/v1/api_keys", {"name": "spare"}) for _ in range(3)],
        "name": [name, "pareto"],
        "path": ["config.json", "weights.safetensors", "README.md"],
        "alias": [_alias(client, name, alias, models[0]) for alias in ("production", "staging")],
        **_webhooks(client),
    }


def _run(database: Database, blobs: DatabaseBlobStore, job_id: str) -> str:
    with database.unit_of_work() as session:
        claimed = claim(session, job_id, worker="w@host", lease=LEASE)
        assert claimed is not None
        blob = blobs.put(session, b"a state")
        at = {"attempt": claimed.attempt, "arm": "cascade", "seed": 0, "epoch": 1}
        kept = {"blob_id": blob.id, "bytes": blob.size, "sha256": blob.sha256}
        checkpoint = Checkpoint(job_id=job_id, kind="progress", step=7, **at, **kept)
        session.add(checkpoint)
        session.add(JobMetric(job_id=job_id, loss=0.5, validation={"ndcg@10": 0.1}, seconds=1.0, **at))
        session.flush()
        return checkpoint.id


def _succeed(database: Database, blobs: DatabaseBlobStore, job_id: str) -> str:
    with database.unit_of_work() as session:
        claimed = claim(session, job_id, worker="w@host", lease=LEASE)
    assert claimed is not None
    with database.unit_of_work() as session:
        files = tuple((path, blobs.put(session, data)) for path, data in model_files().items())
        documents = [(path, blobs.put(session, data)) for path, data in DOCUMENTS.items()]
        model = FinishedModel("cascade", 0, {"test": {"ndcg@10": 0.2}}, files)
        (model_id,) = succeed(
            session, claimed, models=[model], report=REPORT, report_markdown="# Report\n", documents=documents
        )
        job = session.get_one(Job, job_id)
        assert job.status == "succeeded"
    return model_id


def _recommend(
    database: Database, blobs: DatabaseBlobStore, client: httpx.Client, model_id: str, dataset_id: str
) -> str:
    batch_id = _made(client, f"/v1/models/{model_id}/recommendations", {"dataset": dataset_id})
    with database.unit_of_work() as session:
        claimed = batches.claim(session, batch_id, lease_seconds=LEASE.total_seconds())
        assert claimed is not None
        assert batches.succeed(session, claimed, blobs.put(session, b"PAR1PAR1"), {"users": 2})
    return batch_id


def _upload(client: httpx.Client) -> str:
    upload_id = _made(client, "/v1/uploads", {"filename": "log.csv"})
    client.put(f"/v1/uploads/{upload_id}/parts/1", content=CSV).raise_for_status()
    return upload_id


def _alias(client: httpx.Client, name: str, alias: str, model_id: str) -> str:
    client.put(f"/v1/models/{name}/aliases/{alias}", json={"model": model_id}).raise_for_status()
    return alias


def _webhooks(client: httpx.Client) -> Stock:
    endpoints = [_made(client, "/v1/webhook_endpoints", {"url": "https://8.8.8.8/hook"}) for _ in range(3)]
    deliveries = [
        client.post(f"/v1/webhook_endpoints/{endpoint}/test").raise_for_status().json()["id"]
        for endpoint in endpoints
    ]
    return {"webhook_endpoint_id": endpoints, "delivery_id": deliveries}


def _made(client: httpx.Client, path: str, body: object) -> str:
    made = client.post(path, json=body).raise_for_status().json()
    return str(made["id"])
