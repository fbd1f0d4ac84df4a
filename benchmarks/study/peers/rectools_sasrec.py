"""RecTools' SASRec (softmax) to convergence, by its own `fit_partial`, `recommend` and `calc_metrics`.

A script for the Python of an environment that has RecTools 0.19; it imports nothing of SteadyRank. Its only
argument is a JSON object, see `Settings`; it prints a JSON line per validation, and a last one with "result".
"""

from __future__ import annotations

import copy
import json
import os
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import rectools
import torch
from rectools import Columns
from rectools.dataset import Dataset
from rectools.metrics import NDCG, HitRate, calc_metrics
from rectools.models import SASRecModel
from rectools.models.nn.item_net import IdEmbeddingsItemNet

TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True)
class Settings:
    """data: tab-separated `user item part`, oldest first; test: whether the test targets may be met."""

    data: str
    learning_rate: float
    dropout: float
    batch: int
    seed: int
    test: bool
    width: int
    blocks: int
    heads: int
    window: int
    epochs: int
    min_epochs: int
    patience: int
    validate_every: int


class Clock(pl.Callback):
    """CPU seconds inside training epochs; `fit_partial` prepares its data anew, which is not counted."""

    seconds = 0.0
    began = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        """Look at the clock."""
        # On the class: RecTools copies its trainer, callbacks and all, before it trains.
        Clock.began = cpu_seconds()

    def on_train_epoch_end(self, *_: Any) -> None:
        """Look at it again."""
        Clock.seconds += cpu_seconds() - Clock.began


def cpu_seconds() -> float:
    """Of this process and all its threads."""
    now = os.times()
    return now.user + now.system


def build(settings: Settings) -> SASRecModel:
    """The model as the study's standard arm is sized."""

    def trainer() -> pl.Trainer:
        return pl.Trainer(
            max_epochs=settings.epochs,
            callbacks=[Clock()],
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    return SASRecModel(
        n_blocks=settings.blocks,
        n_heads=settings.heads,
        n_factors=settings.width,
        dropout_rate=settings.dropout,
        session_max_len=settings.window,
        loss="softmax",
        lr=settings.learning_rate,
        batch_size=settings.batch,
        item_net_block_types=(IdEmbeddingsItemNet,),
        get_trainer_func=trainer,
        recommend_torch_device="cpu",
    )


def measure(model: SASRecModel, known: Dataset, targets: pd.DataFrame) -> dict[str, float]:
    """HR and NDCG at 10 over all users of `targets`; who is not recommended anything has missed."""
    users = targets[Columns.User].unique()
    found = model.recommend(users, known, k=10, filter_viewed=True, on_unsupported_targets="ignore")
    metrics = {"hr@10": HitRate(k=10), "ndcg@10": NDCG(k=10, divide_by_achievable=True)}
    return {name: float(value) for name, value in calc_metrics(metrics, found, targets).items()}


def main() -> None:
    settings = Settings(**json.loads(sys.argv[1]))
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    pl.seed_everything(settings.seed)
    rows = np.loadtxt(settings.data, dtype=np.int64, delimiter="\t", skiprows=1)
    part = rows[:, 2]
    frame = pd.DataFrame(
        {
            Columns.User: rows[:, 0],
            Columns.Item: rows[:, 1],
            Columns.Weight: 1.0,
            # A second a row keeps the file's order.
            Columns.Datetime: pd.to_datetime(1_000_000_000 + np.arange(len(rows)), unit="s"),
        }
    )
    train, validation = Dataset.construct(frame[part == TRAIN]), frame[part == VALIDATION]
    model = build(settings)
    best: dict[str, Any] = {"epoch": 0, "ndcg@10": -1.0}
    weights: dict[str, torch.Tensor] = {}
    evaluating, since, epoch = 0.0, 0, 0
    while epoch < settings.epochs and since < settings.patience:
        model.fit_partial(train, min_epochs=settings.validate_every, max_epochs=settings.validate_every)
        epoch += settings.validate_every
        began = cpu_seconds()
        found = measure(model, train, validation)
        evaluating += cpu_seconds() - began
        spent = Clock.seconds + evaluating
        print(json.dumps({"epoch": epoch, **found, "cpu_seconds": round(spent, 1)}), flush=True)
        if found["ndcg@10"] > best["ndcg@10"]:
            best = {"epoch": epoch, **found, "cpu_seconds": spent}
            weights = copy.deepcopy(model.torch_model.state_dict())
            since = 0
        elif epoch > settings.min_epochs:
            since += 1
    result: dict[str, Any] = {
        "validation": {name: best[name] for name in ("hr@10", "ndcg@10")},
        "best_epoch": best["epoch"],
        "epochs": epoch,
        "cut": since < settings.patience,
        "cpu_seconds": round(Clock.seconds + evaluating, 1),
        "cpu_seconds_to_best": round(best["cpu_seconds"], 1),
        "versions": {"rectools": rectools.__version__, "torch": torch.__version__},
    }
    if settings.test:
        model.torch_model.load_state_dict(weights)
        known = Dataset.construct(frame[part != TEST])
        result["test"] = measure(model, known, frame[part == TEST])
    print(json.dumps({"result": result}), flush=True)


if __name__ == "__main__":
    main()
