"""Every loss in every arm: whole steps against the method written anew, by position, with autograd."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.worker.training.synthetic import markov_sequences
from worker.training.adversary.perturbation import OFF, Adversary, perturb_points
from worker.training.adversary.replacement import worst_replacements
from worker.training.data.batching import Batch, BucketedBatches, cut_windows
from worker.training.data.sampling import CandidateReplacer
from worker.training.fitting.finite import FiniteGuard
from worker.training.fitting.step import StepInputs, Streams, encode_points, training_step
from worker.training.losses.bce import RankingLoss
from worker.training.losses.build import build_loss, build_sampler
from worker.training.losses.lookup import look_up
from worker.training.losses.sampled import CalibratedBinaryCrossEntropy
from worker.training.models.base import SequenceModel
from worker.training.models.build import build_model
from worker.training.seeding import generator_for
from worker.training.settings import ModelName
from worker.training.spec import TrainSpec

TRAIN = markov_sequences(12)
V = TRAIN.n_items
WINDOWS = cut_windows(TRAIN, 8)
WEIGHTS = np.random.default_rng(1).uniform(0.3, 2.0, WINDOWS.n_targets).astype(np.float32)
CPU = torch.device("cpu")
K = 5
MODELS: tuple[ModelName, ...] = ("sasrec", "gru4rec")
LOSSES: dict[str, dict[str, Any]] = {
    "bce": {"loss": "bce", "negatives": 1},
    "sampled_softmax": {"loss": "sampled_softmax"},
    "sampled_softmax, popularity": {"loss": "sampled_softmax", "negative_sampling": "popularity"},
    "gbce": {"loss": "gbce", "gbce_t": 0.6},
    "softmax": {"loss": "softmax"},
    "sampled_softmax, cosine": {
        "loss": "sampled_softmax",
        "item_normalisation": "cosine",
        "temperature": 0.25,
    },
    "gbce, items": {"loss": "gbce", "gbce_t": 0.6, "item_normalisation": "items"},
    "softmax, items": {"loss": "softmax", "item_normalisation": "items", "temperature": 3.0},
}
PERTURBED = Adversary(epsilon_match=0.2, lambda_match=0.7, epsilon_history=0.3, lambda_history=1.3)
TOWARDS = replace(PERTURBED, towards_items=True)
SOME = replace(TOWARDS, perturb_share=0.4)
REPLACED = Adversary(0.2, 0.7, 0.0, 1.3, replace_share=0.5)


def spec_of(case: str, **settings: Any) -> TrainSpec:
    base = {"hidden_size": 8, "max_length": 8, "dropout": 0.0, "negatives": K}
    return TrainSpec.model_validate({**base, **LOSSES[case], **settings})


def model_of(spec: TrainSpec) -> SequenceModel:
    model = build_model(spec, V).train()
    with torch.no_grad():
        model.item_embedding.weight.mul_(15)
    return model


def inputs_of(spec: TrainSpec, batch: Batch) -> StepInputs:
    sampler = build_sampler(spec, TRAIN, WINDOWS)
    negatives = sampler.draw(batch, generator_for(0, "negatives")) if sampler else torch.zeros(0).long()
    others_BL = (batch.x_BL % V + 1) * batch.m_BL
    every_third = (torch.arange(batch.x_BL.numel()) % 3 == 0).view_as(batch.x_BL)
    return StepInputs.of(batch, negatives, CPU, torch.where(every_third, others_BL, batch.x_BL))


def step(model: SequenceModel, inputs: StepInputs, loss: RankingLoss[Any], adversary: Adversary) -> Tensor:
    """Take an SGD step of length 1 without anything drawn."""
    streams = Streams(generator_for(0, "dropout"), generator_for(0, "perturbed"))
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    guard = FiniteGuard("cascade", 0, 10)
    return training_step(model, optimiser, inputs, adversary, streams=streams, guard=guard, step=1, loss=loss)


def naive_loss(case: str, h: Tensor, own: list[Tensor], items: list[int], table: Tensor) -> Tensor:
    """One position's loss; items: the target, then its negatives.

    own: stands for the target's embedding, with BCE for its negative's as well.
    """
    if case == "bce":
        return -functional.logsigmoid(h @ own[0]) - torch.log(1 - torch.sigmoid(h @ own[1]))
    y, *negatives = items
    (own_y,) = own
    if case.startswith("softmax"):
        scores = torch.stack([h @ (own_y if item == y else table[item]) for item in range(1, V + 1)])
        return functional.cross_entropy(scores, torch.tensor(y - 1))
    drawn = torch.stack([h @ table[item] for item in negatives])
    if case.startswith("gbce"):
        alpha = K / (V - 1)
        beta = alpha * (0.6 * (1 - 1 / alpha) + 1 / alpha)
        return (-beta * functional.logsigmoid(h @ own_y) - functional.logsigmoid(-drawn).sum()) / (K + 1)
    scores = torch.cat([(h @ own_y)[None], drawn])
    if case == "sampled_softmax, popularity":
        counts = np.bincount(TRAIN.items, minlength=V + 1)
        scores = scores - torch.log(torch.tensor([counts[item] / counts.sum() for item in items]))
    return functional.cross_entropy(scores[None], torch.tensor([0]))


def naive_step(
    case: str, model: SequenceModel, inputs: StepInputs, adversary: Adversary
) -> tuple[list[Tensor], list[float]]:
    """Gradients and losses: window by window without padding, position by position, one total."""
    table = model.item_embedding.weight
    rows = [slice(0, int(length)) for length in inputs.length_B]
    windows = [window for window, row in enumerate(rows) for _ in range(row.stop)]
    y = inputs.target_N.tolist()
    drawn = [inputs.negatives[window].tolist() if "softmax" not in case[:7] else [] for window in windows]
    if case == "bce":
        drawn = [[negative] for negative in inputs.negatives.tolist()]
    items = [[own, *others] for own, others in zip(y, drawn, strict=True)]

    options = LOSSES[case]
    normalised = options.get("item_normalisation", "none")
    scored = table
    if normalised != "none":
        scored = torch.cat([table[:1], table[1:] / table[1:].norm(dim=1, keepdim=True)])

    def encode(histories: list[Tensor]) -> Tensor:
        h = torch.cat([model.encode(e[None], torch.tensor([len(e)]))[0] for e in histories])
        if normalised == "cosine":
            h = h / h.norm(dim=1, keepdim=True)
        return h / options.get("temperature", 1.0)

    def mean_loss(h: Tensor, own: list[list[Tensor]]) -> Tensor:
        terms = [naive_loss(case, h[i], own[i], items[i], scored) for i in range(len(y))]
        return torch.stack(terms).mean()

    def worst(g: Tensor, x: Tensor, candidates: list[int]) -> int:
        return max((c for c in candidates if c != x), key=lambda c: float(g @ table[c].detach()))

    history = [table[x[row]] for x, row in zip(inputs.x_BL, rows, strict=True)]
    h = encode(history)
    moving = torch.tensor(items if case == "bce" else [[item] for item in y])
    targets = [list(scored[each]) for each in moving]
    rank = mean_loss(h, targets)

    lengths = [h.detach().norm(dim=1).mean(), *scored[moving].detach().norm(dim=2).mean(dim=0)]
    moved_h, moved_own = [], []
    for i in range(len(y)):
        point = [each.detach().requires_grad_() for each in (h[i], *targets[i])]
        at_point = naive_loss(case, point[0], point[1:], items[i], scored.detach())
        gradients = torch.autograd.grad(at_point, point)
        delta = [adversary.epsilon_match * s * g / g.norm() for s, g in zip(lengths, gradients, strict=True)]
        moved_h.append(h[i] + delta[0])
        moved_own.append([own + way for own, way in zip(targets[i], delta[1:], strict=True)])
    match = mean_loss(torch.stack(moved_h), moved_own)

    if adversary.replaces_history:
        assert inputs.replaced_BL is not None
        second = [table[x[row]] for x, row in zip(inputs.replaced_BL, rows, strict=True)]
    else:
        clean = rank + adversary.lambda_match * match
        gradients = torch.autograd.grad(clean, history, retain_graph=True)
        if inputs.candidates is not None:
            gradients = tuple(
                torch.stack([table[worst(g, x, drawn)] - table[x] for g, x in zip(gs, xs[row], strict=True)])
                for gs, xs, row, drawn in zip(
                    gradients, inputs.x_BL, rows, inputs.candidates.item_BC.tolist(), strict=True
                )
            )
            gradients = tuple(way.detach() for way in gradients)
        w_BL = inputs.w_BL
        if adversary.perturb_share is not None:
            assert inputs.candidates is not None
            w_BL = inputs.candidates.chosen_BL.float()
            assert 0 < w_BL.sum() < inputs.m_BL.sum()
        length = adversary.epsilon_history * torch.cat(history).detach().norm(dim=1).mean()
        second = [
            e + length * w[row, None] * g / g.norm(dim=1, keepdim=True)
            for e, w, row, g in zip(history, w_BL, rows, gradients, strict=True)
        ]
    perturbed = mean_loss(encode(second), targets)
    total = rank + adversary.lambda_match * match + adversary.lambda_history * perturbed
    gradients = torch.autograd.grad(total, list(model.parameters()))
    return list(gradients), [rank.item(), match.item(), perturbed.item()]


@pytest.mark.parametrize(
    "adversary", [PERTURBED, TOWARDS, SOME, REPLACED], ids=["perturbed", "towards", "some", "replaced"]
)
@pytest.mark.parametrize("model_name", MODELS)
@pytest.mark.parametrize("case", LOSSES)
def test_a_step_equals_the_method_written_anew(
    case: str, model_name: ModelName, adversary: Adversary
) -> None:
    spec = spec_of(case, model=model_name)
    model = model_of(spec)
    before = copy.deepcopy(model)
    batch = BucketedBatches(WINDOWS, 4, WEIGHTS).load(np.arange(6))
    inputs = inputs_of(spec, batch)
    if adversary.towards_items:
        replacer = CandidateReplacer(V, 4, adversary.perturb_share)
        inputs = replace(inputs, candidates=replacer.draw(batch, generator_for(0, "replacements")))
    losses = step(model, inputs, build_loss(spec, TRAIN, CPU), adversary)
    gradients, expected = naive_step(case, before, inputs, adversary)
    assert losses.tolist() == pytest.approx(expected, rel=1e-5)
    for after, parameter, gradient in zip(model.parameters(), before.parameters(), gradients, strict=True):
        torch.testing.assert_close(after, parameter - gradient, rtol=1e-4, atol=5e-6)
    assert model.item_embedding.weight[0].abs().max() == 0


@pytest.mark.parametrize("case", LOSSES)
def test_levels_switched_off_are_the_plain_loss(case: str) -> None:
    spec = spec_of(case)
    inputs = inputs_of(spec, BucketedBatches(WINDOWS, 4).load(np.arange(6)))
    off, standard = model_of(spec), model_of(spec)
    loss = build_loss(spec, TRAIN, CPU)
    assert torch.equal(
        step(off, inputs, loss, Adversary(0.0, 1.0, 0.0, 1.0)), step(standard, inputs, loss, OFF)
    )
    assert all(torch.equal(a, b) for a, b in zip(off.parameters(), standard.parameters(), strict=True))


@pytest.mark.parametrize("case", LOSSES)
def test_half_precision_loses_little(case: str) -> None:
    spec = spec_of(case)
    batch = BucketedBatches(WINDOWS, 4, WEIGHTS).load(np.arange(6))
    inputs, loss = inputs_of(spec, batch), build_loss(spec, TRAIN, CPU)
    exact = step(model_of(spec), inputs, loss, PERTURBED)
    model = model_of(spec)
    half = training_step(
        model,
        torch.optim.SGD(model.parameters(), lr=1.0),
        inputs,
        PERTURBED,
        streams=Streams(generator_for(0, "dropout"), generator_for(0, "perturbed")),
        guard=FiniteGuard("cascade", 0, 10),
        step=1,
        loss=loss,
        precision=torch.autocast("cpu", torch.bfloat16),
    )
    torch.testing.assert_close(half, exact, rtol=3e-2, atol=0)


def test_calibration_goes_from_plain_cross_entropy_to_the_rate_of_sampling() -> None:
    assert CalibratedBinaryCrossEntropy(101, 10, 0.0).beta == 1.0
    assert CalibratedBinaryCrossEntropy(101, 10, 1.0).beta == pytest.approx(0.1)
    assert CalibratedBinaryCrossEntropy(5, 10, 1.0).beta == 1.0  # more draws than items


@pytest.mark.parametrize("case", ["gbce", "sampled_softmax, cosine"])
def test_replacing_by_gradient_is_replacing_by_what_raises_the_clean_losses_most(case: str) -> None:
    spec = spec_of(case)
    batch = BucketedBatches(WINDOWS, 4, WEIGHTS).load(np.arange(6))
    plain, loss = inputs_of(spec, batch), build_loss(spec, TRAIN, CPU)
    candidates = CandidateReplacer(V, 4, 0.5).draw(batch, generator_for(0, "replacements"))
    model = model_of(spec)
    table = model.item_embedding.weight
    x, y, negatives = (look_up(table, at) for at in (plain.x_BL, plain.target_N, plain.negatives))
    points = encode_points(model, x.rows, plain, loss, ranked=(y, negatives), generator=None)
    rank, slopes = loss.with_gradient(points)
    match = loss(perturb_points(points, slopes, REPLACED.epsilon_match))
    (gradient_BLD,) = torch.autograd.grad(rank + REPLACED.lambda_match * match, x.rows)
    replaced_BL = worst_replacements(plain.x_BL, gradient_BLD, table.detach(), candidates)
    assert (replaced_BL != plain.x_BL).any()

    by_gradient, given = copy.deepcopy(model), copy.deepcopy(model)
    losses = step(by_gradient, replace(plain, replaced_BL=None, candidates=candidates), loss, REPLACED)
    assert torch.equal(losses, step(given, replace(plain, replaced_BL=replaced_BL), loss, REPLACED))
    assert all(torch.equal(a, b) for a, b in zip(by_gradient.parameters(), given.parameters(), strict=True))
