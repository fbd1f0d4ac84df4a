"""How well estimates did: what succeeded jobs took in relation to what was expected, by what it was from."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.models.checkpoint import Checkpoint
from app.db.models.job import Job
from app.db.models.job_file import JobFile
from app.db.models.model import Model
from app.db.models.model_file import ModelFile
from app.jobs.attempts import seconds_used
from app.jobs.life import Status

_SCORED = 100


def score(session: Session, job: Job, *, peak_memory_bytes: int | None = None) -> None:
    """Put beside a succeeded job's estimate what it took, over all attempts since it was last tried again.

    `peak_memory_bytes` is that of the training process that ended well, if it is known.
    """
    if job.estimate is None:
        return
    took, expected = seconds_used(session, job.id), job.estimate["seconds"]["expected"]
    job.estimate = {
        **job.estimate,
        "actual_seconds": round(took, 1),
        "actual_peak_memory_bytes": peak_memory_bytes,
        "actual_stored_bytes": _stored_bytes(session, job.id),
        "ratio": round(took / expected, 3) if expected else None,  # earlier versions could expect 0.0
    }


def accuracy(session: Session, project_id: str) -> dict[str, Any]:
    """How the project's last hundred scored estimates did: actual figures over expected ones.

    All of them by their seconds; and each basis for itself, by seconds, memory and bytes.
    """
    scored = session.execute(
        select(Job.estimate)
        .where(Job.project_id == project_id, Job.status == Status.SUCCEEDED)
        .where(Job.estimate["ratio"].astext.is_not(None))
        .order_by(Job.id.desc())
        .limit(_SCORED)
    )
    by_basis: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for found in scored.scalars():
        if found is not None:
            by_basis[found["basis"]].append(found)
    every = [found for group in by_basis.values() for found in group]
    return {
        **_fit([found["ratio"] for found in every]),
        "by_basis": {
            basis: {
                "seconds": _fit([found["ratio"] for found in group]),
                "peak_memory_bytes": _fit(_ratios(group, "peak_memory_bytes")),
                "stored_bytes": _fit(_ratios(group, "stored_bytes")),
            }
            for basis, group in sorted(by_basis.items())
        },
    }


def _ratios(estimates: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [found[f"actual_{name}"] / found[name] for found in estimates if found.get(f"actual_{name}")]


def _fit(ratios: Sequence[float]) -> dict[str, Any]:
    near = sum(0.5 <= one <= 2.0 for one in ratios)
    return {
        "jobs": len(ratios),
        "median_ratio": round(statistics.median(ratios), 3) if ratios else None,
        "within_factor_2": near / len(ratios) if ratios else None,
    }


def _stored_bytes(session: Session, job_id: str) -> int:
    """Bytes of the job's models, checkpoints and documents."""
    models = select(func.sum(ModelFile.bytes)).join(Model, Model.id == ModelFile.model_id)
    sums = (
        models.where(Model.job_id == job_id),
        select(func.sum(Checkpoint.bytes)).where(Checkpoint.job_id == job_id),
        select(func.sum(JobFile.bytes)).where(JobFile.job_id == job_id),
    )
    return sum(int(session.execute(one).scalar_one() or 0) for one in sums)
