"""Small models with random weights, stored as a succeeded job stores them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
from safetensors.numpy import save

from app.db.session import Database
from app.jobs.claims import claim
from app.jobs.results import FinishedModel, succeed
from app.storage.database import DatabaseBlobStore
from tests.factories import make_job, make_ready_dataset
from worker.training.portable import weight_shapes

ITEMS = [f"i{number}" for number in range(12)]
CONFIG: dict[str, Any] = {
    "format": "steadyrank-model",
    "format_version": 1,
    "architecture": "gru4rec",
    "max_length": 6,
    "hidden_size": 4,
    "blocks": 1,
    "heads": 1,
}
CARD = "# gru4rec (cascade), seed 0\n"


def model_files(seed: int = 0) -> dict[str, bytes]:
    """A small model with random weights."""
    random = np.random.default_rng(seed)
    shapes = weight_shapes(CONFIG, len(ITEMS))
    weights = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return {
        "README.md": CARD.encode(),
        "config.json": json.dumps(CONFIG).encode(),
        "items.json": json.dumps(ITEMS).encode(),
        "weights.safetensors": save(weights),
    }


def store_models(
    database: Database,
    blobs: DatabaseBlobStore,
    *,
    name: str = "films",
    arms: tuple[str, ...] = ("cascade",),
    metrics: Mapping[str, Any] | None = None,
    protocol_hash: str = "protocol 1",
) -> list[str]:
    """Let a job succeed with one model for each arm; returns the models' ids."""
    with database.unit_of_work() as session:
        job = make_job(session, make_ready_dataset(session, blobs), name=name, arms=arms)
    with database.unit_of_work() as session:
        claimed = claim(session, job.id, worker="w@host", lease=timedelta(seconds=30))
    assert claimed is not None
    with database.unit_of_work() as session:
        finished = [
            FinishedModel(
                arm,
                0,
                dict(metrics or {"test": {"ndcg@10": 0.2}}),
                tuple((path, blobs.put(session, data)) for path, data in model_files().items()),
            )
            for arm in arms
        ]
        report = {"arms": {}, "protocol_hash": protocol_hash}
        return succeed(session, claimed, models=finished, report=report, report_markdown="")
