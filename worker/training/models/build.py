"""From a spec to a model with fresh weights."""

from __future__ import annotations

from functools import partial

from worker.training.models.base import SequenceModel
from worker.training.models.blocks import LiGRBlock, PreNormBlock
from worker.training.models.gru4rec import GRU4Rec
from worker.training.models.initialisation import Initialiser
from worker.training.models.sasrec import SASRec, SASRecBlock
from worker.training.models.scoring import Scoring
from worker.training.seeding import generator_for
from worker.training.spec import TrainSpec

_BLOCKS = {"original": SASRecBlock, "pre_norm": PreNormBlock, "ligr": LiGRBlock}


def build_model(spec: TrainSpec, n_items: int, *, seed: int | None = None) -> SequenceModel:
    """Build the spec's model on the CPU. Its weights are a function of the spec and `seed` (or spec.seed)."""
    model: SequenceModel
    sizes = (n_items, spec.max_length, spec.hidden_size)
    if spec.model == "sasrec":
        block = partial(
            _BLOCKS[spec.block],
            spec.hidden_size,
            spec.heads,
            dropout=spec.dropout,
            attention_dropout=spec.dropout if spec.attention_dropout is None else spec.attention_dropout,
            multiplier=spec.feed_forward_multiplier,
        )
        model = SASRec(*sizes, [block() for _ in range(spec.blocks)], dropout=_on_embeddings(spec))
    else:
        model = GRU4Rec(
            *sizes,
            layers=spec.blocks,
            dropout=spec.dropout,
            embedding_dropout=_on_embeddings(spec),
            pre_norm=spec.block == "pre_norm",
        )
    model.scoring = Scoring(spec.item_normalisation, spec.temperature)
    initialiser = Initialiser(spec.initialisation, spec.initialisation_std)
    model.initialise(generator_for(spec.seed if seed is None else seed, "weights"), initialiser)
    return model


def _on_embeddings(spec: TrainSpec) -> float:
    return spec.dropout if spec.embedding_dropout is None else spec.embedding_dropout
