"""A stored model measured on any data set, clean and under attack, without training.

On the data that it was trained on, with the settings of its job, the figures are those of that job's report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import safetensors.torch
import torch

from worker.training.data.batching import cut_windows
from worker.training.data.histories import Histories
from worker.training.data.sequences import Int32, Int64, Sequences, build_sequences
from worker.training.data.split import Bool, Split
from worker.training.data.temporal import split_of
from worker.training.evaluation.baselines import Markov, Popularity
from worker.training.evaluation.evaluate import Tick, model_scorer
from worker.training.evaluation.known_items import KnownItemsScorer, SplitForModel
from worker.training.evaluation.outcomes import pack_outcomes
from worker.training.evaluation.scorers import Scorer
from worker.training.models.base import SequenceModel
from worker.training.models.build import build_model
from worker.training.portable import WEIGHTS_FILE, ModelUnreadableError, load_model
from worker.training.progress import Phase, TrainingError
from worker.training.reporting.evaluation_report import build_evaluation_report, render_evaluation
from worker.training.reporting.results import dataset_facts, measure
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec

_ITEMS = "item_embedding.weight"
_NAMED = 20


class NoKnownItemsError(TrainingError):
    """The model knows none of the data set's items."""

    code = "no_known_items"
    hint = "Are the ids written in another way? Evaluate on a data set with the model's items."


class StoredModelError(TrainingError):
    """The files are not a model, or not that of the spec."""

    code = "model_unreadable"
    hint = "Train it again."


@dataclass(frozen=True)
class Trained:
    """What a model was trained on: interactions as `run_experiment` takes them, and the spec of that run."""

    interactions: pl.DataFrame
    spec: TrainSpec


@dataclass(frozen=True)
class ModelEvaluation:
    """What was found: the report as JSON and as Markdown, and each user's figures (`outcomes.py`)."""

    report: dict[str, Any]
    markdown: str
    outcomes: bytes


def evaluate_stored(
    files: Mapping[str, bytes],
    spec: TrainSpec,
    interactions: pl.DataFrame,
    *,
    model: Mapping[str, Any],
    trained: Trained | None,
    runtime: Runtime,
    phase: Callable[[Phase], None],
    tick: Tick,
) -> ModelEvaluation:
    """Measure a stored model on a data set.

    files: of MODEL_FILES, by name. spec: the model's own, with data and evaluation settings as wanted.
    interactions: a canonical frame. model: what the report says of it; needs "arm" and "seed". trained: None
    where that is no longer there; then targets in the model's training cannot be found, and every item that
    the model knows counts as trained on. phase and tick hear how far it is; tick may raise to end it.

    Raises DataError, NoKnownItemsError, StoredModelError, NonFiniteScoresError, and what tick raises.
    """
    phase("preparing")
    device = runtime.prepare()
    sequences = build_sequences(interactions, min_rating=spec.min_rating, k_core=spec.k_core)
    split = split_of(sequences, spec)
    numbers, weights, warm = _read(files)
    old = np.array([0, *(numbers.get(item, 0) for item in sequences.item_ids)])
    known: Bool = old > 0
    if not known.any():
        raise NoKnownItemsError(f"the model knows none of the data set's {sequences.n_items:,} items")
    past = _Past.of(trained, sequences) if trained is not None else None
    own = SplitForModel(split, known, known if past is None else known & past.items)
    phase("evaluating")
    of_model = model_scorer(_fitted(spec, weights, old).to(device), spec.max_length, device)
    scorer: Scorer = of_model if known[1:].all() else KnownItemsScorer(of_model, known, device)
    measured = measure(scorer, own, spec, tick=tick, attacking=lambda: phase("attacking"))
    baselines = {
        name: measure(baseline, split, spec, tick=tick)
        for name, baseline in (("popularity", Popularity(split)), ("markov", Markov(split)))
    }
    phase("packaging")
    windows = cut_windows(split.train, spec.max_length, spec.windows_per_user)
    facts = dataset_facts(split, sequences, windows)
    report = build_evaluation_report(
        spec,
        facts,
        measured,
        baselines,
        model=model,
        unknown=_unknown(own, sequences),
        training=_training(past, split, sequences, warm=warm),
        unchecked=_unchecked(past, warm=warm),
        environment=runtime.environment(device),
        tick=lambda: tick(1.0),
    )
    users = (sequences.user_ids[user] for user in split.users("test"))
    outcomes = pack_outcomes(users, {(str(model["arm"]), int(model["seed"])): measured.per_user})
    return ModelEvaluation(report, render_evaluation(report), outcomes)


def _read(files: Mapping[str, bytes]) -> tuple[dict[str, int], dict[str, torch.Tensor], bool]:
    """The model's item numbers by id, its weights, and whether its training started from an earlier model."""
    try:
        model = load_model(files)
        weights = safetensors.torch.load(files[WEIGHTS_FILE])
    except (ModelUnreadableError, safetensors.SafetensorError) as error:
        raise StoredModelError(f"the model cannot be read: {error}") from error
    warm = bool(model.config.get("spec", {}).get("init_from"))
    return {item: number for number, item in enumerate(model.item_ids, 1)}, weights, warm


def _fitted(spec: TrainSpec, weights: Mapping[str, torch.Tensor], old: Int64) -> SequenceModel:
    """The model with its item table in the data set's numbering; rows of unknown items are 0."""
    fitted = build_model(spec, len(old) - 1)
    table = weights[_ITEMS][torch.from_numpy(old)]
    table[torch.from_numpy(old == 0)] = 0.0
    try:
        fitted.load_state_dict({**weights, _ITEMS: table})
    except RuntimeError as error:
        raise StoredModelError(f"the weights are not those of the model's settings: {error}") from error
    return fitted


def _unknown(split: SplitForModel, sequences: Sequences) -> dict[str, Any]:
    """What of the data set the model does not know."""
    names = np.flatnonzero(~split.known[1:])
    return {
        "items": len(names),
        "interactions": int((~split.known[sequences.items]).sum()),
        "examples": [sequences.item_ids[at] for at in names[:_NAMED]],
        "missed_targets": int((~split.trained[split.targets("test")]).sum()),
        "users_without_known_history": int(split.without_known_history("test").sum()),
    }


@dataclass(frozen=True)
class _Past:
    """The model's training part in the data set's numbers: items bool[V+1], pairs int64[…] of `_codes`."""

    items: Bool
    pairs: Int64

    @classmethod
    def of(cls, trained: Trained, sequences: Sequences) -> _Past:
        spec = trained.spec
        learnt = build_sequences(trained.interactions, min_rating=spec.min_rating, k_core=spec.k_core)
        train = split_of(learnt, spec).train
        item_number = {item: number for number, item in enumerate(sequences.item_ids, 1)}
        user_number = {user: number for number, user in enumerate(sequences.user_ids)}
        items = np.array([0, *(item_number.get(item, 0) for item in train.item_ids)])[train.items]
        of_user = np.array([user_number.get(user, -1) for user in train.user_ids], dtype=np.int64)
        users = np.repeat(of_user, train.lengths)
        seen = np.zeros(sequences.n_items + 1, dtype=np.bool_)
        seen[items] = True
        seen[0] = False
        shared = (items > 0) & (users >= 0)
        return cls(seen, np.unique(_codes(users[shared], items[shared], sequences)))


def _codes(users: Int64, items: Int32 | Int64, sequences: Sequences) -> Int64:
    """One number for each (user, item)."""
    return users * (sequences.n_items + 1) + items


def _training(past: _Past | None, split: Split, sequences: Sequences, *, warm: bool) -> dict[str, Any]:
    """How far the test targets were in the model's training: of the same user, and not in the history.

    warm: whether it started from an earlier model. What that one had met is not looked at: that nothing is
    found says nothing, and what is found is the least that there was.
    """
    if past is None:
        return {"checked": False, "targets_in_training": None}
    users, targets = split.users("test"), split.targets("test")
    histories = Histories(*split.histories("test"))
    before = _codes(users[histories.row_of_item], histories.items, sequences)
    wanted = _codes(users, targets, sequences)
    # What a user does again is no leak: the history shows the first time.
    leaked = int((np.isin(wanted, past.pairs) & ~np.isin(wanted, before)).sum())
    if warm:
        return {"checked": False, "targets_in_training": leaked or None}
    return {"checked": True, "targets_in_training": leaked}


def _unchecked(past: _Past | None, *, warm: bool) -> list[str]:
    """Why targets in the model's training could not all be looked for: codes of warnings."""
    return [code for code, so in (("training_unknown", past is None), ("warm_started", warm)) if so]
