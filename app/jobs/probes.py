"""Probes: asked for when an estimate is wanted, made by a measuring worker, kept for the next one who asks.

A probe is of use to whoever asks for the same data, and settings of the same cost, within a week, on machines
of the same kind. It is tried once; whoever waits in vain is told why, and has the other ways to estimate.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, case, delete, func, select, update
from sqlalchemy.orm import Session

from app.at_once import FewAtOnce
from app.db.models.dataset import Dataset
from app.db.models.probe import Probe
from app.db.session import Database, send_after_commit
from app.errors import ServiceUnavailable
from app.jobs.workers import alive, any_alive
from app.task_names import MEASURE_QUEUE, PROBE_JOB, TRAIN_QUEUE
from worker.training.spec import TrainSpec

WAIT_SECONDS = 25.0
"""How long a request waits for its probe."""
KEPT = timedelta(days=7)
_FORGOTTEN = timedelta(minutes=10)
"""A probe that nobody took up, or that did not end, within this time will not be waited for."""
_LONGEST = timedelta(minutes=2)
"""A probe is ended by its worker after half of this (worker/probe.py)."""
_MOST_WAITING = 4
_LOOK_SECONDS = 0.25
_NOT_A_STEPS = frozenset(
    ("epochs", "warmup_epochs", "min_epochs", "patience", "validate_every", "seeds", "checkpoint_minutes")
)
"""Settings of how long and how often; those of attacks, stability and the search are neither a step's."""
_waiting = FewAtOnce(8, "requests that wait for probes")


Asked = Callable[[Session], tuple[TrainSpec, Dataset]]


@dataclass(frozen=True)
class Unprobed:
    """Why there is no probe to estimate by: a code, and words."""

    code: str
    message: str


@dataclass(frozen=True)
class Inputs:
    """What a probe works on: `interactions` is a blob, `since_claimed` in seconds."""

    project_id: str
    spec: dict[str, Any]
    interactions: str
    since_claimed: float


def key_of(spec: TrainSpec, dataset: Dataset) -> str:
    """Digest of what a step's cost depends on."""
    shaping = {
        name: value
        for name, value in spec.model_dump(mode="json").items()
        if name not in _NOT_A_STEPS and not name.startswith(("attack_", "stability_", "search_"))
    }
    return hashlib.sha256(json.dumps([dataset.sha256, shaping], sort_keys=True).encode()).hexdigest()


def known(session: Session, project_id: str, spec: TrainSpec, dataset: Dataset) -> Probe | Unprobed:
    """The newest probe that an estimate may go by, or why there is none."""
    since = case((Probe.ended_at.is_(None), func.now() - _FORGOTTEN), else_=func.now() - KEPT)
    found = session.execute(
        _of(project_id, key_of(spec, dataset)).where(Probe.created_at > since).limit(1)
    ).scalar_one_or_none()
    if found is None:
        return Unprobed("not_probed", "Nobody has asked for a probe.")
    if found.error is not None:
        return Unprobed(found.error["code"], found.error["message"])
    if found.result is None:
        return Unprobed("probe_not_ready", "The probe has not ended yet; ask again in a moment.")
    probed = _kind(found.result["environment"]["device"])
    trains = {_kind(one.device) for one in alive(session) if one.queue == TRAIN_QUEUE and one.device}
    if trains and probed not in trains:
        message = f"The probe ran on {probed}, but jobs train on {', '.join(sorted(trains))}."
        return Unprobed("other_machine", message)
    return found


def probe_first(database: Database, project_id: str, asked: Asked) -> Unprobed | None:
    """Have a probe made, unless there is one, and wait for its end, at most `WAIT_SECONDS`.

    Holds no connection of its own while it waits. `asked` gives the spec and its data set in a session, and
    may raise. Returns why none could be asked for; else `known` tells what came of it.
    """
    with database.unit_of_work() as session:
        spec, dataset = asked(session)
        if isinstance(known(session, project_id, spec, dataset), Probe):
            return None
        if not any_alive(session, MEASURE_QUEUE):
            return Unprobed("no_worker_alive", "No worker of the queue `measure` is alive to make a probe.")
    with ExitStack() as place:
        try:
            place.enter_context(_waiting.one())
        except ServiceUnavailable as crowded:
            return Unprobed("too_many_probes", crowded.detail)
        return _asked_and_waited(database, project_id, asked)


def _asked_and_waited(database: Database, project_id: str, asked: Asked) -> Unprobed | None:
    with database.unit_of_work() as session:
        probe_id = _request(session, project_id, *asked(session))  # anew: it holds what it asks about
    if probe_id is None:
        return Unprobed("too_many_probes", f"{_MOST_WAITING} probes of this project wait already.")
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        with database.unit_of_work() as session:
            row = session.get(Probe, probe_id)
            status = None if row is None else row.status
        if status not in {"queued", "running"}:
            break
        time.sleep(_LOOK_SECONDS)
    return None


def claim(session: Session, probe_id: str) -> bool:
    """Take up a probe that waits; False when there is nothing to do, or nobody waits for it any more."""
    claimed = update(Probe).where(
        Probe.id == probe_id, Probe.status == "queued", Probe.created_at > func.now() - _FORGOTTEN
    )
    claimed = claimed.values(status="running", started_at=func.clock_timestamp())
    return session.execute(claimed.returning(Probe.id)).scalar_one_or_none() is not None


def inputs(session: Session, probe_id: str) -> Inputs | None:
    """What a claimed probe works on; None when its data set is gone."""
    since = func.extract("epoch", func.clock_timestamp() - Probe.started_at)
    row = session.execute(
        select(Probe.project_id, Probe.spec, Dataset.canonical_blob, since)
        .join(Dataset, Dataset.id == Probe.dataset_id)
        .where(Probe.id == probe_id, Probe.status == "running")
    ).one_or_none()
    if row is None or row.canonical_blob is None:
        return None
    return Inputs(row.project_id, row.spec, row.canonical_blob, float(row[3]))


def succeed(session: Session, probe_id: str, result: dict[str, Any]) -> None:
    """`running` → `succeeded`; nothing where it is not running any more."""
    _end(session, probe_id, status="succeeded", result=result)


def fail(session: Session, probe_id: str, *, code: str, message: str) -> None:
    """`running` → `failed`; nothing where it has ended."""
    _end(session, probe_id, status="failed", error={"code": code, "message": message})


def tidy_probes(session: Session) -> None:
    """Remove probes that nobody may go by any more, and end those whose worker vanished."""
    session.execute(delete(Probe).where(Probe.created_at < func.now() - KEPT))
    lost = update(Probe).where(Probe.status == "running", Probe.started_at < func.now() - _LONGEST)
    error = {"code": "worker_lost", "message": "The worker that made the probe vanished."}
    session.execute(lost.values(status="failed", ended_at=func.clock_timestamp(), error=error))


def _request(session: Session, project_id: str, spec: TrainSpec, dataset: Dataset) -> str | None:
    """The probe to wait for, a new one if need be; None when too many wait already."""
    # Who asks in the same moment waits here, and then finds the same probe, or one more that waits.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"probes/{project_id}", 0))))
    key = key_of(spec, dataset)
    unfinished = Probe.status.in_(("queued", "running")) & (Probe.created_at > func.now() - _FORGOTTEN)
    same = session.execute(_of(project_id, key).where(unfinished).limit(1)).scalar_one_or_none()
    if same is not None:
        return same.id
    many = select(func.count()).where(Probe.project_id == project_id, unfinished)
    if session.execute(many).scalar_one() >= _MOST_WAITING:
        return None
    row = Probe(project_id=project_id, dataset_id=dataset.id, key=key, spec=spec.model_dump(mode="json"))
    session.add(row)
    session.flush()
    send_after_commit(session, PROBE_JOB, row.id, queue=MEASURE_QUEUE)
    return row.id


def _of(project_id: str, key: str) -> Select[Probe]:
    return (
        select(Probe)
        .where(Probe.project_id == project_id, Probe.key == key)
        .order_by(Probe.created_at.desc(), Probe.id.desc())
    )


def _end(session: Session, probe_id: str, **values: Any) -> None:
    running = update(Probe).where(Probe.id == probe_id, Probe.status == "running")
    session.execute(running.values(ended_at=func.clock_timestamp(), **values))


def _kind(device: str | None) -> str:
    return "cpu" if device is None or device.startswith("cpu") else "a GPU"
