"""Training steps on a small log with fixed negatives, and an independent reference for one of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tests.worker.training.synthetic import markov_sequences
from worker.training.adversary.perturbation import Adversary
from worker.training.data.batching import BucketedBatches, cut_windows
from worker.training.fitting.finite import FiniteGuard
from worker.training.fitting.step import StepInputs, Streams, training_step
from worker.training.models.base import SequenceModel
from worker.training.models.build import build_model
from worker.training.seeding import generator_for
from worker.training.settings import ModelName
from worker.training.spec import TrainSpec

TRAIN = markov_sequences(24)
WINDOWS = cut_windows(TRAIN, 8)
CPU = torch.device("cpu")
BOTH = Adversary(epsilon_match=0.2, lambda_match=0.7, epsilon_history=0.3, lambda_history=1.3)
MODELS: tuple[ModelName, ...] = ("sasrec", "gru4rec")


def model_of(name: ModelName, dropout: float = 0.0) -> SequenceModel:
    spec = TrainSpec(model=name, hidden_size=8, max_length=8, dropout=dropout)
    model = build_model(spec, TRAIN.n_items).train()
    with torch.no_grad():
        model.item_embedding.weight.mul_(15)
    return model


def streams() -> Streams:
    return Streams(generator_for(0, "dropout"), generator_for(0, "perturbed"))


def inputs_of(windows: np.ndarray, negatives: np.ndarray, weights: np.ndarray | None = None) -> StepInputs:
    """`negatives` is flat over all windows' positions, so that a window keeps its own in any batch."""
    batch = BucketedBatches(WINDOWS, 4, weights).load(windows)
    neg_BL = torch.zeros_like(batch.y_BL)
    for row, window in enumerate(windows):
        begin, end = WINDOWS.offsets[window : window + 2]
        neg_BL[row, : end - begin] = torch.from_numpy(negatives[begin:end])
    return StepInputs.of(batch, neg_BL[batch.m_BL], CPU)


NEGATIVES = np.random.default_rng(0).integers(1, TRAIN.n_items + 1, WINDOWS.n_targets)
WEIGHTS = np.random.default_rng(1).uniform(0.3, 2.0, WINDOWS.n_targets).astype(np.float32)
EVERY = np.arange(len(WINDOWS))


def train(model: SequenceModel, adversary: Adversary, steps: int, *, sgd: bool = False) -> list[Tensor]:
    """Take a few steps over fixed batches; return the losses."""
    optimiser: torch.optim.Optimizer
    if sgd:  # Adam would magnify rounding where a gradient is nearly zero
        optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    else:
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-2, fused=True)
    drawn, guard = streams(), FiniteGuard("cascade", 0, 10)
    losses = []
    for step in range(1, steps + 1):
        inputs = inputs_of(EVERY[step % 3 :: 3], NEGATIVES, WEIGHTS)
        losses.append(
            training_step(model, optimiser, inputs, adversary, streams=drawn, guard=guard, step=step)
        )
    return losses


def reference_gradient(
    model: SequenceModel, windows: np.ndarray, adversary: Adversary, weights: np.ndarray
) -> tuple[list[Tensor], list[float]]:
    """The method written anew: user by user without padding, one position at a time, one total loss."""

    def loss_at(h: Tensor, target: Tensor, negative: Tensor) -> Tensor:
        return -torch.log(torch.sigmoid(h @ target)) - torch.log(1 - torch.sigmoid(h @ negative))

    table = model.item_embedding.weight
    slices = [slice(*WINDOWS.offsets[window : window + 2]) for window in windows]
    items, targets = WINDOWS.flat_inputs(), WINDOWS.flat_targets()

    def encode(rows: list[Tensor]) -> Tensor:
        return torch.cat([model.encode(row[None], torch.tensor([len(row)]))[0] for row in rows])

    history = [table[torch.from_numpy(items[s]).long()] for s in slices]
    y = torch.from_numpy(np.concatenate([targets[s] for s in slices])).long()
    negative = torch.from_numpy(np.concatenate([NEGATIVES[s] for s in slices]))
    n = len(y)

    h = encode(history)
    rank = torch.stack([loss_at(h[i], table[y[i]], table[negative[i]]) for i in range(n)]).mean()

    kinds = [h.detach(), table[y].detach(), table[negative].detach()]
    sizes = [kind.norm(dim=1).mean() for kind in kinds]
    matched = []
    for i in range(n):
        point = [kind[i].clone().requires_grad_() for kind in kinds]
        gradients = torch.autograd.grad(loss_at(*point), point)
        moves = [
            adversary.epsilon_match * size * g / g.norm() for size, g in zip(sizes, gradients, strict=True)
        ]
        matched.append(loss_at(h[i] + moves[0], table[y[i]] + moves[1], table[negative[i]] + moves[2]))
    match = torch.stack(matched).mean()

    gradients = torch.autograd.grad(rank + adversary.lambda_match * match, history, retain_graph=True)
    size = torch.cat(history).detach().norm(dim=1).mean()
    moved = [
        row
        + adversary.epsilon_history
        * size
        * torch.from_numpy(weights[s])[:, None]
        * g
        / g.norm(dim=1)[:, None]
        for row, g, s in zip(history, gradients, slices, strict=True)
    ]
    h = encode(moved)
    perturbed = torch.stack([loss_at(h[i], table[y[i]], table[negative[i]]) for i in range(n)]).mean()

    total = rank + adversary.lambda_match * match + adversary.lambda_history * perturbed
    gradients = torch.autograd.grad(total, list(model.parameters()))
    return list(gradients), [rank.item(), match.item(), perturbed.item()]
