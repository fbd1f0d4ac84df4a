"""Examples of job objects, for the OpenAPI page."""

from __future__ import annotations

from typing import Any

from app.examples import CHECKPOINT_ID, DATASET_ID, JOB_ID, SHA256

CREATE: dict[str, Any] = {
    "dataset": DATASET_ID,
    "name": "movielens",
    "model": "sasrec",
    "arms": ["standard", "adversarial", "cascade"],
    "epochs": 60,
    "seed": 0,
    "labels": {"team": "search"},
    "max_runtime": 7200,
}
CHANGE: dict[str, Any] = {"name": "movielens, second try", "labels": {"team": "search", "draft": None}}
ESTIMATE: dict[str, Any] = {
    "seconds": {"low": 61.0, "expected": 95.5, "high": 210.0},
    "peak_memory_bytes": 482000000,
    "stored_bytes": 6200000,
    "basis": "history",
    "sample_jobs": 4,
    "probe": None,
    "models": 3,
    "epochs": 160,
    "interactions_per_epoch": 100000,
    "interactions": 16000000,
    "actual_seconds": None,
    "actual_peak_memory_bytes": None,
    "actual_stored_bytes": None,
    "ratio": None,
}
JOB: dict[str, Any] = {
    "id": JOB_ID,
    "object": "job",
    "name": "movielens",
    "status": "running",
    "phase": "training",
    "arm": "cascade",
    "seed": 0,
    "dataset": DATASET_ID,
    "dataset_facts": {"id": DATASET_ID, "name": "log.csv", "sha256": SHA256},
    "model": "sasrec",
    "arms": ["standard", "adversarial", "cascade"],
    "spec": {"model": "sasrec", "epochs": 60, "max_length": 50},
    "labels": {"team": "search"},
    "priority": 0,
    "max_runtime": 7200,
    "max_pending": None,
    "estimate": ESTIMATE,
    "progress": {
        "fraction": 0.71,
        "epoch": 21,
        "step": 530,
        "total_steps": 740,
        "examples_per_second": 91000.0,
        "eta_at": "2025-11-23T13:52:40Z",
    },
    "queue": None,
    "attempts": [
        {
            "attempt": 1,
            "worker": "train1@host",
            "outcome": "running",
            "started_at": "2025-11-23T13:51:02Z",
            "ended_at": None,
            "error": None,
            "environment": {"device": "cpu", "threads": 1, "torch": "2.13.0"},
        }
    ],
    "status_history": [
        {"status": "queued", "at": "2025-11-23T13:51:01Z", "message": "The job is queued."},
        {"status": "running", "at": "2025-11-23T13:51:02Z", "message": "Worker train1@host took the job."},
    ],
    "error": None,
    "stop_reason": None,
    "models": [],
    "created_at": "2025-11-23T13:51:01Z",
    "started_at": "2025-11-23T13:51:02Z",
    "ended_at": None,
    "updated_at": "2025-11-23T13:52:10Z",
}
VALIDATION: dict[str, Any] = {
    "object": "job.validation",
    "valid": True,
    "dataset": DATASET_ID,
    "spec": {"model": "sasrec", "epochs": 60, "max_length": 50},
    "estimate": ESTIMATE,
}
EVENT: dict[str, Any] = {
    "id": "evt_01k9z4c8h2t6w0ynrbv5m3px7q",
    "object": "event",
    "sequence": 2,
    "type": "job.status",
    "level": "info",
    "message": "Worker train1@host took the job.",
    "data": {"from": "queued", "to": "running", "attempt": 1},
    "created_at": "2025-11-23T13:51:02Z",
}
EPOCH: dict[str, Any] = {
    "id": "0-cascade-21",
    "object": "epoch",
    "seed": 0,
    "arm": "cascade",
    "epoch": 21,
    "attempt": 1,
    "loss": 0.52,
    "loss_match": 0.53,
    "loss_history": 0.55,
    "validation": {"hr@10": 0.11, "ndcg@10": 0.055},
    "seconds": 1.4,
}
CHECKPOINT: dict[str, Any] = {
    "id": CHECKPOINT_ID,
    "object": "checkpoint",
    "job": JOB_ID,
    "kind": "progress",
    "arm": "cascade",
    "seed": 0,
    "epoch": 20,
    "step": 520,
    "attempt": 1,
    "bytes": 1873420,
    "sha256": SHA256,
    "created_at": "2025-11-23T13:52:01Z",
}
REPORT: dict[str, Any] = {
    "schema_version": 1,
    "protocol_hash": SHA256,
    "dataset": {"users": 943, "items": 1682, "interactions": 100000},
    "arms": {
        "cascade": {
            "test": {"hr@10": 0.116, "ndcg@10": 0.0575},
            "attacks": [
                {"position": "end", "count": 1, "replacement": "uniform", "ndcg@10": 0.03, "kept": 0.53}
            ],
        }
    },
    "baselines": {"popularity": {"test": {"ndcg@10": 0.044}}},
}
