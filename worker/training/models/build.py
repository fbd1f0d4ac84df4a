"""From a spec to a model with fresh weights."""

from __future__ import annotations

from worker.training.models.base import SequenceModel
from worker.training.models.gru4rec import GRU4Rec
from worker.training.models.sasrec import SASRec
from worker.training.seeding import generator_for
from worker.training.spec import TrainSpec


def build_model(spec: TrainSpec, n_items: int, *, seed: int | None = None) -> SequenceModel:
    """Build the spec's model on the CPU. Its weights are a function of the spec and `seed` (or spec.seed)."""
    model: SequenceModel
    sizes = (n_items, spec.max_length, spec.hidden_size)
    if spec.model == "sasrec":
        model = SASRec(*sizes, blocks=spec.blocks, heads=spec.heads, dropout=spec.dropout)
    else:
        model = GRU4Rec(*sizes, layers=spec.blocks, dropout=spec.dropout)
    model.initialise(generator_for(spec.seed if seed is None else seed, "weights"))
    return model
