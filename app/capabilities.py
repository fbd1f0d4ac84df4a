"""What this service can do: models, presets, settings, attacks, limits, formats, and live workers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, get_args

from fastapi import APIRouter
from pydantic import BaseModel

from app.config import Settings
from app.datasets.schemas import Format
from app.deps import PrincipalDep, SessionDep, SettingsDep
from app.jobs.estimate_scores import accuracy
from app.jobs.workers import alive
from app.problems import problem_responses
from worker.training.presets import DESCRIPTIONS as PRESET_DESCRIPTIONS
from worker.training.presets import PRESETS
from worker.training.settings import Arm, AttackPosition, AttackReplacement, LossName, ModelName
from worker.training.spec import TrainSpec

router = APIRouter(tags=["capabilities"])

_DESCRIPTIONS = {
    "sasrec": "self-attention over the history (SASRec)",
    "gru4rec": "a recurrent network over the history (GRU4Rec, in its user-sequence form)",
    "standard": "the ranking loss alone",
    "adversarial": "generic adversarial training: every interaction is perturbed alike",
    "cascade": "cascade-guided: perturbations re-scaled by each interaction's cascade effect",
    "cascade_replacement": "cascade-guided replacement of history items (this project's, not the paper's)",
}
_EXAMPLE: dict[str, Any] = {
    "object": "capabilities",
    "models": [{"name": "sasrec", "description": _DESCRIPTIONS["sasrec"]}],
    "arms": [{"name": "cascade", "description": _DESCRIPTIONS["cascade"]}],
    "losses": ["bce"],
    "presets": [
        {
            "name": "paper",
            "description": PRESET_DESCRIPTIONS["paper"],
            "settings": {"sasrec": {"loss": "bce", "dropout": 0.5}},
        }
    ],
    "spec": {"type": "object", "properties": {"epochs": {"type": "integer", "default": 400, "minimum": 1}}},
    "attacks": {
        "positions": ["end", "start", "random", "highest_cascade"],
        "replacements": ["uniform", "popularity", "nearest", "gradient"],
    },
    "formats": ["csv", "tsv", "jsonl", "parquet"],
    "limits": {"max_upload_bytes": 2147483648, "max_epochs": 10000},
    "workers": [
        {
            "id": "train1@host/train",
            "queue": "train",
            "device": "cpu",
            "versions": {"torch": "2.13.0"},
            "seen_at": "2025-11-23T13:52:00Z",
        }
    ],
    "devices": ["cpu"],
    "estimates": {
        "jobs": 12,
        "median_ratio": 1.07,
        "within_factor_2": 0.92,
        "by_basis": {
            "history": {
                "seconds": {"jobs": 12, "median_ratio": 1.07, "within_factor_2": 0.92},
                "peak_memory_bytes": {"jobs": 12, "median_ratio": 0.94, "within_factor_2": 1.0},
                "stored_bytes": {"jobs": 12, "median_ratio": 1.02, "within_factor_2": 1.0},
            }
        },
    },
}


class Named(BaseModel):
    """A choice, in words."""

    name: str
    description: str


class Preset(Named):
    """A named starting point: what it stands for, by model."""

    settings: dict[str, dict[str, Any]]


class WorkerObject(BaseModel):
    """A worker process that was seen lately."""

    id: str
    queue: str
    device: str | None
    versions: dict[str, Any]
    seen_at: datetime


class Attacks(BaseModel):
    """Item-replacement attacks that an evaluation can make."""

    positions: list[str]
    replacements: list[str]


class Fit(BaseModel):
    """Actual figures over expected ones."""

    jobs: int
    median_ratio: float | None
    within_factor_2: float | None


class FitOfBasis(BaseModel):
    """How estimates of one basis did, by what they estimate."""

    seconds: Fit
    peak_memory_bytes: Fit
    stored_bytes: Fit


class EstimateAccuracy(Fit):
    """How the estimates of the project's last hundred succeeded jobs did, in seconds and by basis."""

    by_basis: dict[str, FitOfBasis]


class Capabilities(BaseModel):
    """What this service can do."""

    object: Literal["capabilities"] = "capabilities"
    models: list[Named]
    arms: list[Named]
    losses: list[str]
    presets: list[Preset]
    spec: dict[str, Any]
    attacks: Attacks
    formats: list[str]
    limits: dict[str, int]
    workers: list[WorkerObject]
    devices: list[str]
    estimates: EstimateAccuracy


@router.get(
    "/capabilities",
    responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}, **problem_responses()},
)
def get_capabilities(principal: PrincipalDep, session: SessionDep, settings: SettingsDep) -> Capabilities:
    """Show models, arms, presets, settings as JSON Schema, attacks, limits, formats, and live workers."""
    workers = alive(session)
    return Capabilities(
        models=_named(ModelName),
        arms=_named(Arm),
        losses=list(get_args(LossName)),
        presets=_presets(),
        spec=TrainSpec.model_json_schema(),
        attacks=Attacks(
            positions=list(get_args(AttackPosition)), replacements=list(get_args(AttackReplacement))
        ),
        formats=list(get_args(Format)),
        limits=_limits(settings),
        workers=[WorkerObject.model_validate(worker, from_attributes=True) for worker in workers],
        estimates=EstimateAccuracy.model_validate(accuracy(session, principal.project_id)),
        devices=sorted({worker.device for worker in workers if worker.device is not None}),
    )


def _named(choices: Any) -> list[Named]:
    return [Named(name=name, description=_DESCRIPTIONS[name]) for name in get_args(choices)]


def _presets() -> list[Preset]:
    return [
        Preset(
            name=name,
            description=PRESET_DESCRIPTIONS[name],
            settings={model: dict(settings) for model, settings in of_model.items()},
        )
        for name, of_model in PRESETS.items()
    ]


def _limits(settings: Settings) -> dict[str, int]:
    return {
        "max_upload_bytes": settings.max_upload_bytes,
        "max_decompressed_bytes": settings.max_decompressed_bytes,
        "max_json_bytes": settings.max_json_bytes,
        "max_rows": settings.max_rows,
        "max_epochs": settings.max_epochs,
        "max_runtime_seconds": settings.max_runtime_seconds,
        "max_pending_seconds": settings.max_pending_seconds,
        "max_attempts": settings.max_attempts,
    }
