"""RecTools' SASRec, BCE with one negative, by its own `fit`, `recommend` and `calc_metrics`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import rectools
import torch
from measuring import TEST, TRAIN, Epochs, cpu_seconds, finish, given_settings, load, peak_megabytes
from rectools import Columns
from rectools.dataset import Dataset
from rectools.metrics import MRR, NDCG, HitRate, calc_metrics
from rectools.models import SASRecModel
from rectools.models.nn.item_net import IdEmbeddingsItemNet

# Outside the callback: RecTools copies its trainer, callbacks and all, before it trains.
EPOCHS = Epochs()


class Clock(pl.Callback):
    """Takes the CPU time at both ends of every epoch."""

    def on_train_epoch_start(self, *_: Any) -> None:
        """An epoch begins."""
        EPOCHS.start()

    def on_train_epoch_end(self, *_: Any) -> None:
        """It has ended."""
        EPOCHS.end()


def main() -> None:
    settings = given_settings()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    pl.seed_everything(settings.seed)
    data = load(settings.data)
    frame = pd.DataFrame(
        {
            Columns.User: data.user,
            Columns.Item: data.item,
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(data.time, unit="s"),
        }
    )

    def trainer() -> pl.Trainer:
        return pl.Trainer(
            max_epochs=1 + settings.epochs,
            callbacks=[Clock()],
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    model = SASRecModel(
        n_blocks=settings.blocks,
        n_heads=settings.heads,
        n_factors=settings.width,
        dropout_rate=settings.dropout,
        session_max_len=settings.window,
        loss="BCE",
        n_negatives=1,
        lr=settings.learning_rate,
        batch_size=settings.batch,
        item_net_block_types=(IdEmbeddingsItemNet,),
        get_trainer_func=trainer,
        recommend_torch_device="cpu",
    )
    model.fit(Dataset.construct(frame[data.only(TRAIN)]))
    training_peak = peak_megabytes()
    targets = sum(int((batch["y"] != 0).sum()) for batch in model.data_preparator.get_dataloader_train())

    test = frame[data.only(TEST)]
    known = Dataset.construct(frame[~data.only(TEST)])
    metrics = {
        f"{name}@{k}": metric(k=k, **more)
        for k in (5, 10, 20)
        for name, metric, more in (
            ("hr", HitRate, {}),
            ("ndcg", NDCG, {"divide_by_achievable": True}),
            ("mrr", MRR, {}),
        )
    }
    started = cpu_seconds()
    users = np.unique(data.user)
    recommended = model.recommend(users, known, k=20, filter_viewed=True, on_unsupported_targets="ignore")
    found = calc_metrics(metrics, reco=recommended, interactions=test)
    evaluation_seconds = cpu_seconds() - started
    finish(
        library="RecTools",
        version=f"{rectools.__version__}, torch {torch.__version__}",
        loss="BCE, 1 negative a target",
        epochs=EPOCHS,
        targets=targets,
        training_peak=training_peak,
        evaluation_seconds=evaluation_seconds,
        users=int(recommended[Columns.User].nunique()),
        metrics={name: found[name] for name in ("hr@10", "ndcg@10")},
        notes=[
            "seen items excluded",
            "evaluation gives top-20 lists and HR, NDCG, MRR at 5, 10, 20",
            "users with one training interaction are not recommended anything",
        ],
    )


if __name__ == "__main__":
    main()
