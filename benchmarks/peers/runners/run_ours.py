"""SteadyRank's SASRec, BCE with one negative, by the library's own Trainer and evaluation."""

from __future__ import annotations

import numpy as np
import torch
from measuring import Epochs, cpu_seconds, finish, given_settings, load, peak_megabytes

from worker.training.data.sequences import Sequences
from worker.training.data.split import leave_one_out
from worker.training.evaluation.evaluate import evaluate, model_scorer
from worker.training.fitting.trainer import Trainer
from worker.training.models.base import SequenceModel
from worker.training.models.build import build_model
from worker.training.progress import MemoryCheckpoints, SilentProgress
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec


def main() -> None:
    settings = given_settings()
    Runtime("cpu", 1).prepare()
    data = load(settings.data)
    users, items = int(data.user.max()), int(data.item.max())
    split = leave_one_out(
        Sequences(
            user_ids=[str(number) for number in range(1, users + 1)],
            item_ids=[str(number) for number in range(1, items + 1)],
            offsets=np.searchsorted(data.user, np.arange(1, users + 2)).astype(np.int64),
            items=data.item.astype(np.int32),
        )
    )
    spec = TrainSpec(
        arms=("standard",),
        loss="bce",
        hidden_size=settings.width,
        blocks=settings.blocks,
        heads=settings.heads,
        max_length=settings.window,
        batch_size=settings.batch,
        dropout=settings.dropout,
        learning_rate=settings.learning_rate,
        epochs=1 + settings.epochs,
        warmup_epochs=0,
        validate_every=1,
        checkpoint_minutes=1440,
        seed=settings.seed,
    )
    epochs = Epochs()

    def between_epochs(_: SequenceModel) -> dict[str, float]:
        # Called where validation would be: evaluation is measured on its own below.
        epochs.end()
        epochs.start()
        return {"ndcg@10": float(len(epochs.seconds))}

    trainer = Trainer(
        spec,
        split.train,
        validate=between_epochs,
        progress=SilentProgress(),
        checkpoints=MemoryCheckpoints(),
    )
    epochs.start()
    outcome = trainer.train("standard", settings.seed)
    training_peak = peak_megabytes()

    model = build_model(spec, split.n_items)
    model.load_state_dict(outcome.weights)
    started = cpu_seconds()
    found = evaluate(model_scorer(model, settings.window), split, "test", exclude_seen=True)
    evaluation_seconds = cpu_seconds() - started
    finish(
        library="SteadyRank",
        version=torch.__version__,
        loss="BCE, 1 negative a target",
        epochs=epochs,
        targets=trainer.windows.n_targets,
        training_peak=training_peak,
        evaluation_seconds=evaluation_seconds,
        users=len(split.eval_users),
        metrics={name: found.metrics[name] for name in ("hr@10", "ndcg@10")},
        notes=[
            "seen items excluded",
            "evaluation gives ranks, top-10 lists, HR, NDCG, MRR at 5, 10, 20, coverage",
        ],
    )


if __name__ == "__main__":
    main()
