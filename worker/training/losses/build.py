"""From a spec to its ranking loss and the sampler that feeds it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from worker.training.data.batching import Windows
from worker.training.data.sampling import NegativeSampler, item_weights
from worker.training.data.sequences import Sequences
from worker.training.losses.bce import BCE, RankingLoss
from worker.training.losses.sampled import CalibratedBinaryCrossEntropy, SampledSoftmax
from worker.training.losses.softmax import FullSoftmax
from worker.training.spec import TrainSpec


def build_loss(spec: TrainSpec, train: Sequences, device: torch.device) -> RankingLoss[Any]:
    """Return the spec's loss for the catalogue of `train`."""
    if spec.loss == "bce":
        return BCE
    if spec.loss == "softmax":
        return FullSoftmax()
    if spec.loss == "gbce":
        return CalibratedBinaryCrossEntropy(train.n_items, spec.negatives, spec.gbce_t)
    if spec.negative_sampling == "uniform":
        return SampledSoftmax()
    # An item that training never saw is never drawn; its 1 only keeps the log finite.
    counts = np.maximum(item_weights(train.items, train.n_items, "popularity"), 1)
    return SampledSoftmax(torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32)).to(device))


def build_sampler(spec: TrainSpec, train: Sequences, windows: Windows) -> NegativeSampler | None:
    """Return what draws the loss's negatives; None for a loss without."""
    if spec.loss == "softmax":
        return None
    if spec.loss == "bce":
        return NegativeSampler(train, windows)
    weights = item_weights(train.items, train.n_items, spec.negative_sampling)
    return NegativeSampler(train, windows, weights=weights, shared=spec.negatives)
