"""RecBole's SASRec with BPR, the closest it has to BCE with one negative, by its own Trainer.

RecBole makes a row of every prefix of a history and learns one target from each; a batch of 256 rows
holds 256 targets.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np
import recbole
import torch
from measuring import Epochs, Settings, cpu_seconds, finish, given_settings, load, peak_megabytes
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.sequential_recommender import SASRec
from recbole.trainer import Trainer
from recbole.utils import init_seed


def config_of(settings: Settings, folder: Path) -> Config:
    """RecBole splits off each user's last two interactions itself, by time."""
    return Config(
        model="SASRec",
        dataset="data",
        config_dict={
            "data_path": str(folder),
            "checkpoint_dir": str(folder),
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "MAX_ITEM_LIST_LENGTH": settings.window,
            "eval_args": {
                "split": {"LS": "valid_and_test"},
                "order": "TO",
                "mode": "full",
                "group_by": "user",
            },
            "metrics": ["Hit", "NDCG", "MRR"],
            "topk": [5, 10, 20],
            "valid_metric": "NDCG@10",
            "n_layers": settings.blocks,
            "n_heads": settings.heads,
            "hidden_size": settings.width,
            "inner_size": settings.width,
            "hidden_dropout_prob": settings.dropout,
            "attn_dropout_prob": settings.dropout,
            "hidden_act": "relu",
            "loss_type": "BPR",
            "train_batch_size": settings.batch,
            "learning_rate": settings.learning_rate,
            "seed": settings.seed,
            "use_gpu": False,
            "device": "cpu",
            "show_progress": False,
            "state": "ERROR",
        },
    )


def main() -> None:
    settings = given_settings()
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    data = load(settings.data)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        folder.mkdir()
        np.savetxt(
            folder / "data.inter",
            np.column_stack([data.user, data.item, data.time]),
            fmt="%d",
            delimiter="\t",
            header="user_id:token\titem_id:token\ttimestamp:float",
            comments="",
        )
        config = config_of(settings, folder.parent)
        init_seed(config["seed"], reproducibility=True)
        training, _, test = data_preparation(config, create_dataset(config))
        model = SASRec(config, training.dataset).to("cpu")
        trainer = Trainer(config, model)
        epochs = Epochs()
        for epoch in range(1 + settings.epochs):
            epochs.start()
            trainer._train_epoch(training, epoch)
            epochs.end()
        training_peak = peak_megabytes()
        started = cpu_seconds()
        found = trainer.evaluate(test, load_best_model=False)
        evaluation_seconds = cpu_seconds() - started
    finish(
        library="RecBole",
        version=f"{recbole.__version__}, torch {torch.__version__}",
        loss="BPR, 1 negative a target",
        epochs=epochs,
        targets=len(training.dataset),
        training_peak=training_peak,
        evaluation_seconds=evaluation_seconds,
        users=len(test.dataset),
        metrics={"hr@10": found["hit@10"], "ndcg@10": found["ndcg@10"]},
        notes=[
            "BPR in place of BCE",
            "every prefix is a row of its own, so long histories lose no targets",
            "seen items stay in the ranking",
            "evaluation gives HR, NDCG, MRR at 5, 10, 20",
        ],
    )


if __name__ == "__main__":
    main()
