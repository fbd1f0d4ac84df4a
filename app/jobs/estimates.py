"""What a job is expected to take, learnt from jobs that have ended; `estimate_scores.py` scores it.

An estimate is the formula of `app/jobs/cost.py` times what the project's finished jobs of the same model took
in relation to it, in seconds, memory and bytes; and its epochs are as many of those allowed as these jobs
needed. Where a probe has timed steps of this very job, its seconds and its memory stand in the place of the
formula's, and of that relation.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.models.dataset import Dataset
from app.db.models.job import Job
from app.db.models.job_attempt import JobAttempt
from app.db.models.job_metric import JobMetric
from app.db.models.probe import Probe
from app.jobs.cost import (
    Rates,
    Size,
    most_epochs,
    peak_memory_bytes,
    probed_memory_bytes,
    seconds_of,
    stored_bytes,
)
from app.jobs.life import Status
from app.jobs.probes import Unprobed, known
from worker.training.shares import arm_of
from worker.training.spec import TrainSpec

_LOOKED_AT = 20
_LEAST_SECONDS = 0.1
_CUT = "max_runtime"
"""`stop_reason` of a job that its time limit ended."""
_ENOUGH_ALIKE = 3
_UNKNOWN_MACHINE = 4.0
"""Without a finished job the seconds are believed up to this factor."""
_SPREAD = 1.3
"""No job is like another: even jobs that all took as long leave this factor."""
_PROBE_SPREAD = 1.6
"""A machine is not always as busy as it was for a few seconds."""


@dataclass(frozen=True)
class _Sample:
    """A finished job: what it took in relation to the formula, and its share of the epochs allowed.

    factor: of seconds; memory, stored: of bytes, None where nobody knows what it took.
    """

    dataset: str
    factor: float
    share: float
    memory: float | None
    stored: float | None


def estimate(
    session: Session, project_id: str, spec: TrainSpec, dataset: Dataset, *, unprobed: Unprobed | None = None
) -> dict[str, Any]:
    """The `estimate` of a job that is not there yet; by a probe, if there is one that fits.

    unprobed: why there is no new probe, where one was asked for.
    """
    size = Size.of(dataset.stats)
    most = most_epochs(spec)
    samples = _samples(session, project_id, spec.model)
    alike = [sample for sample in samples if sample.dataset == dataset.sha256]
    samples = alike if len(alike) >= _ENOUGH_ALIKE else samples
    probe = known(session, project_id, spec, dataset)
    rates = Rates.by_formula(spec, size)
    soonest = spec.min_epochs + spec.patience * spec.validate_every
    share, least = 1.0, min(1.0, soonest / spec.epochs)
    low, middle, high = 1 / _UNKNOWN_MACHINE, 1.0, _UNKNOWN_MACHINE
    if samples:
        factors, shares = [one.factor for one in samples], [one.share for one in samples]
        middle = statistics.median(factors)
        low, high = min(*factors, middle / _SPREAD), max(*factors, middle * _SPREAD)
        share, least = statistics.median(shares), min(shares)
    memory = _corrected(peak_memory_bytes(spec, size), [one.memory for one in samples])
    if isinstance(probe, Probe) and probe.result is not None:
        rates = Rates.measured(probe.result)
        low, middle, high = 1 / _PROBE_SPREAD, 1.0, _PROBE_SPREAD
        memory = probed_memory_bytes(spec, size, probe.result["peak_memory_bytes"])

    def seconds(factor: float, part: float) -> float:
        return max(_LEAST_SECONDS, round(factor * seconds_of(spec, rates, _part_of(most, part)), 1))

    epochs = sum(most.values())
    interactions = int((dataset.stats or {}).get("interactions") or 0)
    return {
        "seconds": {
            "low": seconds(low, least),
            "expected": seconds(middle, share),
            "high": seconds(high, 1.0),
        },
        "peak_memory_bytes": memory,
        "stored_bytes": _corrected(stored_bytes(spec, size), [one.stored for one in samples]),
        "basis": "probe" if isinstance(probe, Probe) else "history" if samples else "model",
        "probe": _told_of(unprobed or probe),
        "sample_jobs": len(samples),
        "models": len(spec.seeds) * len(spec.arms),
        "epochs": epochs,
        "interactions_per_epoch": interactions,
        "interactions": epochs * interactions,
    }


def _corrected(formula: int, factors: Sequence[float | None]) -> int:
    known_ones = [factor for factor in factors if factor is not None]
    return round(formula * statistics.median(known_ones)) if known_ones else formula


def _told_of(probe: Probe | Unprobed) -> dict[str, Any] | None:
    if isinstance(probe, Unprobed):
        return None if probe.code == "not_probed" else {"code": probe.code, "message": probe.message}
    environment = (probe.result or {}).get("environment", {})
    device = {name: environment.get(name) for name in ("device", "device_name", "threads")}
    return {"id": probe.id, "made_at": probe.created_at.isoformat(), **device}


def _part_of(epochs: Mapping[str, int], share: float) -> dict[str, int]:
    return {arm: max(1, round(share * count)) if count else 0 for arm, count in epochs.items()}


def _samples(session: Session, project_id: str, model: str) -> Sequence[_Sample]:
    jobs = session.execute(
        select(Job)
        .where(Job.project_id == project_id, Job.status == Status.SUCCEEDED)
        .where(Job.spec["model"].astext == model)
        .order_by(Job.id.desc())
        .limit(_LOOKED_AT)
    )
    found = jobs.scalars().all()
    ids = [job.id for job in found]
    took = func.sum(func.extract("epoch", JobAttempt.ended_at - JobAttempt.started_at))
    attempts = select(JobAttempt.job_id, took).where(JobAttempt.job_id.in_(ids)).group_by(JobAttempt.job_id)
    seconds = {job_id: float(total or 0.0) for job_id, total in session.execute(attempts)}
    trained: defaultdict[str, dict[str, int]] = defaultdict(dict)
    metrics = select(JobMetric.job_id, JobMetric.arm, func.count()).where(JobMetric.job_id.in_(ids))
    for job_id, arm, count in session.execute(metrics.group_by(JobMetric.job_id, JobMetric.arm)):
        # The trainings at each of several shares are trainings of their arm.
        trained[job_id][arm_of(arm)] = trained[job_id].get(arm_of(arm), 0) + count
    samples = []
    for job in found:
        try:
            spec = TrainSpec.model_validate(job.spec)
        except ValidationError:  # of a version that had other settings
            continue
        if spec.stability_changes and job.stop_reason == _CUT:
            continue  # the formula counts all trainings of that phase, and nobody knows how many were made
        size = Size.of(job.dataset_facts.get("stats"))
        rates = Rates.by_formula(spec, size)
        expected = seconds_of(spec, rates, trained[job.id])
        if seconds.get(job.id) and trained[job.id]:
            share = sum(trained[job.id].values()) / max(1, sum(most_epochs(spec).values()))
            sha256 = str(job.dataset_facts.get("sha256"))
            took_bytes = job.estimate or {}
            memory = took_bytes.get("actual_peak_memory_bytes")
            stored = took_bytes.get("actual_stored_bytes")
            samples.append(
                _Sample(
                    dataset=sha256,
                    factor=seconds[job.id] / expected,
                    share=min(1.0, share),
                    memory=memory / peak_memory_bytes(spec, size) if memory else None,
                    stored=stored / stored_bytes(spec, size) if stored else None,
                )
            )
    return samples
