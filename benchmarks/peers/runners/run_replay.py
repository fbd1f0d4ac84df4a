"""RePlay's SASRec, BCE with one negative, by Lightning as its documentation trains it.

The class with a sampled BCE is the older one of 0.22 (`replay.models.nn.sequential`, marked as deprecated
there).
"""

from __future__ import annotations

import warnings
from importlib.metadata import version
from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch
from measuring import (
    TEST,
    TRAIN,
    VALIDATION,
    Epochs,
    Interactions,
    cpu_seconds,
    finish,
    given_settings,
    load,
    peak_megabytes,
)

warnings.simplefilter("ignore")

from replay.data import FeatureHint, FeatureSource, FeatureType  # noqa: E402 - after the filter: its modules warn
from replay.data.nn import (  # noqa: E402
    PandasSequentialDataset,
    TensorFeatureInfo,
    TensorFeatureSource,
    TensorSchema,
)
from replay.models.nn.optimizer_utils import FatOptimizerFactory  # noqa: E402
from replay.models.nn.sequential.callbacks import ValidationMetricsCallback  # noqa: E402
from replay.models.nn.sequential.postprocessors import RemoveSeenItems  # noqa: E402
from replay.models.nn.sequential.sasrec import (  # noqa: E402
    SasRec,
    SasRecTrainingDataset,
    SasRecValidationDataset,
)
from torch.utils.data import DataLoader  # noqa: E402


class Clock(lightning.Callback):
    """Takes the CPU time at both ends of every epoch."""

    def __init__(self) -> None:
        self.epochs = Epochs()

    def on_train_epoch_start(self, *_: Any) -> None:
        """An epoch begins."""
        self.epochs.start()

    def on_train_epoch_end(self, *_: Any) -> None:
        """It has ended."""
        self.epochs.end()


def sequences_of(data: Interactions, schema: TensorSchema, *parts: int) -> PandasSequentialDataset:
    """One row a user, items from 0."""
    rows = data.only(*parts)
    frame = pd.DataFrame({"user": data.user[rows] - 1, "item": data.item[rows] - 1})
    lists = frame.groupby("user")["item"].agg(list).map(np.array).reset_index()
    return PandasSequentialDataset(schema, "user", "item", lists)


def trainer_of(epochs: int, callback: lightning.Callback) -> lightning.Trainer:
    return lightning.Trainer(
        max_epochs=epochs,
        callbacks=[callback],
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def main() -> None:
    settings = given_settings()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    lightning.seed_everything(settings.seed)
    data = load(settings.data)
    items = int(data.item.max())
    schema = TensorSchema(
        TensorFeatureInfo(
            name="item",
            feature_type=FeatureType.CATEGORICAL,
            is_seq=True,
            feature_hint=FeatureHint.ITEM_ID,
            feature_sources=[TensorFeatureSource(FeatureSource.INTERACTIONS, "item")],
            cardinality=items,
            padding_value=items,
            embedding_dim=settings.width,
        )
    )
    train = sequences_of(data, schema, TRAIN)
    training = SasRecTrainingDataset(train, settings.window)
    loader = DataLoader(training, settings.batch, shuffle=True)
    model = SasRec(
        schema,
        block_count=settings.blocks,
        head_count=settings.heads,
        hidden_size=settings.width,
        max_seq_len=settings.window,
        dropout_rate=settings.dropout,
        loss_type="BCE",
        loss_sample_count=1,
        optimizer_factory=FatOptimizerFactory("adam", settings.learning_rate),
    )
    clock = Clock()
    trainer_of(1 + settings.epochs, clock).fit(model, loader)
    training_peak = peak_megabytes()
    targets = sum(int((batch["target_padding_mask"] & batch["padding_mask"]).sum()) for batch in loader)

    known = sequences_of(data, schema, TRAIN, VALIDATION)
    truth = sequences_of(data, schema, TEST)
    metrics = ValidationMetricsCallback(
        metrics=["recall", "ndcg", "mrr", "coverage"],
        ks=[5, 10, 20],
        postprocessors=[RemoveSeenItems(known)],
        item_count=items,
    )
    started = cpu_seconds()
    evaluated = SasRecValidationDataset(known, truth, known, settings.window)
    (found,) = trainer_of(1, metrics).validate(model, DataLoader(evaluated, settings.batch), verbose=False)
    evaluation_seconds = cpu_seconds() - started
    finish(
        library="RePlay",
        version=f"{version('replay-rec')}, torch {torch.__version__}",
        loss="BCE, 1 negative a target",
        epochs=clock.epochs,
        targets=targets,
        training_peak=training_peak,
        evaluation_seconds=evaluation_seconds,
        users=len(np.unique(data.user)),
        # With one relevant item, recall is the hit rate.
        metrics={"hr@10": found["recall@10"], "ndcg@10": found["ndcg@10"]},
        notes=["seen items excluded", "evaluation gives recall, NDCG, MRR, coverage at 5, 10, 20"],
    )


if __name__ == "__main__":
    main()
