"""Which epoch's weights become an arm's model: those that validated best."""

from __future__ import annotations

from collections.abc import Callable

import torch

from worker.training.fitting.state import Best, TrainerState
from worker.training.models.base import SequenceModel

CHOSEN_BY = "ndcg@10"
"""The validation metric that early stopping and the choice of a model go by; nothing else does."""

Validate = Callable[[SequenceModel], dict[str, float]]
"""Measures a model (in eval mode, under no_grad) on the validation targets; must give `CHOSEN_BY`. A stop
that is asked for meanwhile is obeyed at the next step."""


def validate_and_choose(
    state: TrainerState, validate: Validate, epoch: int, *, min_epochs: int
) -> dict[str, float]:
    """Validate, keep the weights if they are the best so far, else count patience after `min_epochs`."""
    model, best = state.model, state.best
    model.eval()
    with torch.no_grad():
        validation = validate(model)
    if validation[CHOSEN_BY] > best.ndcg:
        weights = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
        state.best = Best(epoch, validation[CHOSEN_BY], validation, weights)
    elif epoch > min_epochs:
        best.validations_since += 1
    return validation
