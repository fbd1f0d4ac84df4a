"""A report of invented figures: as many arms and seeds as a test wants, of 200 users."""

from __future__ import annotations

from typing import Any

import numpy as np

from worker.training.reporting.report import build_report
from worker.training.reporting.results import (
    ATTACKED,
    CLEAN,
    OVERLAP,
    ArmResult,
    Measured,
)
from worker.training.spec import TrainSpec

N = 200
FACTS = {
    "users": 210,
    "items": 50,
    "interactions": 3000,
    "eval_users": N,
    "cut_interactions": 12,
    "tied_last_two_share": 0.44,
    "cold_targets": 3,
    "content_sha256": "c0ffee",
    "split": {
        "name": "leave_one_out",
        "train_interactions": 2580,
        "validation_users": N,
        "test_users": N,
        "leakage_share": 0.31,
    },
}
QUANTILES = [1.0, 1.0, 1.0, 1.0, 1.0]
CASCADE = {
    "kappa": 0.0,
    "gamma": 1.0,
    "weight_clip": 5.0,
    "by_position": [
        {
            "from_end": 1,
            "inputs": 20,
            "effect": QUANTILES,
            "effect_kappa_1": QUANTILES,
            "weight": QUANTILES,
        }
    ],
    "example": {"items": ["a"], "effects": [1.0], "weights": [1.0]},
}
SLICE = {
    "by": "activity",
    "from": 3,
    "to": 9,
    "users": N,
    "ndcg@10": 0.04,
    "attacked_ndcg@10": 0.01,
    "overlap": None,
}


def cell(count: int = 1, **figures: Any) -> dict[str, Any]:
    row = dict.fromkeys(("hr@10", "ndcg@10", "mrr@10", "kept", "jaccard", "rbo", "top1_changed"), 0.5)
    described = {"position": "end", "count": count, "replacement": "uniform", "n": N, "overlap": 0.25}
    described["clean_ndcg@10"] = 1.0
    return described | row | figures


def metrics(ndcg: float) -> dict[str, float]:
    return {"hr@10": 2 * ndcg, "ndcg@10": ndcg}


def measured(ndcg: float, overlap: float = 0.3, noise: float = 0.01, seed: int = 0) -> Measured:
    rng = np.random.default_rng(seed)
    users = rng.normal(0, noise, N)
    taking_part = np.where(np.arange(N) < 150, 1.0, np.nan)
    return Measured(
        test=metrics(ndcg),
        validation=metrics(ndcg),
        slices=[SLICE],
        attacks=[cell(kept=0.5, overlap=overlap)],
        per_user={
            CLEAN: (ndcg + users - users.mean()).astype(np.float32),
            ATTACKED: np.full(N, 0.02, dtype=np.float32) * taking_part.astype(np.float32),
            OVERLAP: (overlap + users * taking_part).astype(np.float32),
        },
    )


def arm(name: str, seed: int, figures: Measured) -> ArmResult:
    return ArmResult(
        name, seed, best_epoch=7, epochs=9, seconds=10.0 + seed, stop_reason="patience", measured=figures
    )


def report_of(*results: ArmResult, spec: TrainSpec | None = None, popularity: float = 0.03) -> dict[str, Any]:
    baselines = {"popularity": measured(popularity), "markov": measured(0.04)}
    return build_report(
        spec or TrainSpec(), FACTS, results, baselines, cascade=CASCADE, environment={"torch": "2"}
    )
