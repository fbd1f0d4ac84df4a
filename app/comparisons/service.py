"""Paired differences between jobs, models and evaluations, and when they may be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.at_once import FewAtOnce
from app.comparisons.gathering import Float64, Side, of_evaluation, of_job, of_model
from app.errors import ConflictError, ErrorItem, ValidationFailed
from app.models.names import resolve
from app.storage.blobs import BlobStore
from worker.training.evaluation.pairing import Difference, paired, unpaired

FEWEST, MOST = 2, 10

_COMPARING = FewAtOnce(6, "comparisons")
"""Those of a million users take minutes."""
_GRID = ("attack.positions", "attack.counts", "attack.replacements", "attack.cascade.")
"""Which attacks were made. One draws by user and place alone, so that it is the same whatever others are
made beside it; and none touches the clean figures."""


@dataclass(frozen=True)
class Asked:
    """What is to be compared, by id, and how."""

    jobs: Sequence[str] = ()
    models: Sequence[str] = ()
    evaluations: Sequence[str] = ()
    arm: str | None = None
    baseline: str | None = None
    allow_mixed: bool = False


@dataclass(frozen=True)
class Mixed:
    """One field in which a side's protocol differs from the baseline's."""

    id: str
    field: str
    baseline: Any
    value: Any


@dataclass(frozen=True)
class Compared:
    """The baseline, and every other side with its differences from it by metric."""

    baseline: Side
    others: Sequence[tuple[Side, Mapping[str, tuple[float, float, Difference]]]]
    mixed: Sequence[Mixed]


def compare(session: Session, blobs: BlobStore, project_id: str, asked: Asked) -> Compared:
    """Compare 2 to 10 things; the first is the baseline, by its arm `standard` where it has that.

    Raises:
        ValidationFailed: Too few, too many or the same twice; no such arm or baseline.
        NotFoundError: The project does not have one of them.
        ServiceUnavailable: Others are being made, as many as go at once.
        ConflictError: One has no figures (`report_not_ready`, `outcomes_not_kept`), or they were measured
            under different protocols (`mixed_protocol`, with `differences`) and that is not allowed.

    """
    _check(asked)
    sides = [side for job_id in asked.jobs for side in of_job(session, blobs, project_id, job_id)]
    sides += [of_model(session, blobs, project_id, model_id) for model_id in asked.models]
    sides += [of_evaluation(session, blobs, project_id, one) for one in asked.evaluations]
    if asked.arm is not None:
        sides = [side for side in sides if side.arm == asked.arm or side.kind != "job"]
    baseline = _baseline(session, project_id, sides, asked)
    others = [side for side in sides if side is not baseline]
    if not others:
        raise _refused("?arm", "no_such_arm", f"only one of these has an arm {asked.arm!r}", asked.arm)
    mixed: list[Mixed] = []
    for side in others:  # the arms of a job were measured alike: what differs is told once
        mixed += [fault for fault in _differences(baseline, side) if fault not in mixed]
    if mixed and not asked.allow_mixed:
        raise _mixed(baseline, mixed)
    with _COMPARING.one():
        return Compared(baseline, _measure(baseline, others, pairs=not mixed), mixed)


def _check(asked: Asked) -> None:
    things = [*asked.jobs, *asked.models, *asked.evaluations]
    given = {"?jobs": asked.jobs, "?models": asked.models, "?evaluations": asked.evaluations}
    pointer = next((name for name, named in given.items() if named), "?jobs")
    if not FEWEST <= len(things) <= MOST:
        message = f"compare {FEWEST} to {MOST} jobs, models or evaluations, not {len(things)}"
        raise _refused(pointer, "wrong_number", message, len(things))
    if len(set(things)) < len(things):
        pointer = next(name for name, named in given.items() if len(set(named)) < len(named))
        raise _refused(pointer, "repeated", "each may be named once", sorted(things))


def _baseline(session: Session, project_id: str, sides: Sequence[Side], asked: Asked) -> Side:
    if not sides:
        raise _refused("?arm", "no_such_arm", f"none of these has an arm {asked.arm!r}", asked.arm)
    wanted = asked.baseline or sides[0].id
    own = [side for side in sides if wanted in {side.id, side.name, f"{side.id}:{side.arm}"}]
    if not own and "@" in wanted:
        model_id = resolve(session, project_id, wanted)
        own = [side for side in sides if side.kind == "model" and side.id == model_id]
    if not own:
        message = f"none of what is compared is {asked.baseline!r}"
        raise _refused("?baseline", "no_such_baseline", message, asked.baseline)
    return next((side for side in own if side.arm == "standard"), own[0])


def _differences(baseline: Side, side: Side) -> list[Mixed]:
    """The fields in which two protocols differ and that figures of both depend on, the data last."""
    same_users = np.array_equal(side.users, baseline.users)
    if side.protocol_hash == baseline.protocol_hash and same_users:
        return []
    # Reports from before `definitions` was written down go by the first.
    mine, other = (dict(_flat({"definitions": 1, **one.protocol})) for one in (side, baseline))
    found = [
        Mixed(side.id, f"protocol.{field}", other.get(field), mine.get(field))
        for field in dict.fromkeys((*other, *mine))
        if other.get(field) != mine.get(field) and not field.startswith(_GRID)
    ]
    if side.content != baseline.content or not (found or same_users):
        found.append(Mixed(side.id, "dataset.content_sha256", baseline.content, side.content))
    return found


def _flat(protocol: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in protocol.items():
        rows += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
    return rows


def _measure(
    baseline: Side, others: Sequence[Side], *, pairs: bool
) -> list[tuple[Side, Mapping[str, tuple[float, float, Difference]]]]:
    """Each side's figure, the baseline's and their difference, by metric."""
    names = {name for by_name in baseline.figures.values() for name in by_name}
    metrics = sorted(names, key=lambda name: (not name.startswith("test."), name))
    keys: list[tuple[int, str]] = []
    values: list[tuple[Float64, Float64]] = []
    for at, side in enumerate(others):
        # Of one job those seeds that both arms have, as its own report compares them.
        shared = None
        if side.kind == baseline.kind == "job" and side.id == baseline.id:
            shared = [seed for seed in side.seeds if seed in baseline.seeds]
        for metric in metrics:
            mine, other = side.of_users(metric, shared), baseline.of_users(metric, shared)
            if mine is not None and other is not None:
                keys.append((at, metric))
                values.append((mine, other))
    found: list[dict[str, tuple[float, float, Difference]]] = [{} for _ in others]
    compared = (paired if pairs else unpaired)(values)
    for (at, metric), (mine, other), difference in zip(keys, values, compared, strict=True):
        if difference is not None:
            found[at][metric] = (float(np.nanmean(mine)), float(np.nanmean(other)), difference)
    return list(zip(others, found, strict=True))


def _mixed(baseline: Side, mixed: Sequence[Mixed]) -> ConflictError:
    first = mixed[0]
    return ConflictError(
        f"{first.id} and {baseline.id} were not measured alike: {first.field} is {first.value!r} in the one "
        f"and {first.baseline!r} in the other. Such figures do not compare.",
        code="mixed_protocol",
        pointer="?allow_mixed",
        hint="Measure both alike with POST /v1/evaluations; or say allow_mixed=true, and take what comes for "
        "what it is: unpaired differences of different measurements.",
        extra={"differences": [vars(one) for one in mixed[:20]]},
    )


def _refused(pointer: str, code: str, message: str, got: Any) -> ValidationFailed:
    return ValidationFailed(
        f"{message[0].upper()}{message[1:]}.",
        code=code,
        errors=[ErrorItem(pointer, code, message, got)],
        hint="GET /v1/compare?jobs=job_a,job_b compares two jobs, arm by arm, with the first one.",
    )
