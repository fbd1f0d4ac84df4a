"""The training step: against an independent reference, bit for bit where a level is off, blind to padding."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.worker.training.fitting.steps import (
    BOTH,
    CPU,
    EVERY,
    MODELS,
    NEGATIVES,
    TRAIN,
    WEIGHTS,
    WINDOWS,
    inputs_of,
    model_of,
    reference_gradient,
    streams,
    train,
)
from worker.training.adversary.perturbation import OFF, Adversary
from worker.training.data.batching import BucketedBatches
from worker.training.data.sampling import NegativeSampler
from worker.training.fitting.finite import FiniteGuard
from worker.training.fitting.step import StepInputs, encode_points, training_step
from worker.training.losses.bce import BCE
from worker.training.losses.lookup import look_up
from worker.training.models.base import SequenceModel
from worker.training.seeding import generator_for
from worker.training.settings import ModelName


@pytest.mark.parametrize("weights", ["unweighted", "weighted"])
@pytest.mark.parametrize("name", MODELS)
def test_a_step_equals_the_independent_reference(name: ModelName, weights: str) -> None:
    """Unweighted (γ = 0) is generic adversarial training."""
    model = model_of(name)
    reference = copy.deepcopy(model)
    flat = np.ones_like(WEIGHTS) if weights == "unweighted" else WEIGHTS
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    for step in (1, 2):
        windows = EVERY[step::4]
        losses = training_step(
            model,
            optimiser,
            inputs_of(windows, NEGATIVES, None if weights == "unweighted" else flat),
            BOTH,
            streams=streams(),
            guard=FiniteGuard("cascade", 0, 10),
            step=step,
        )
        gradients, expected = reference_gradient(reference, windows, BOTH, flat)
        assert losses.tolist() == pytest.approx(expected, rel=1e-5)
        with torch.no_grad():
            for parameter, gradient in zip(reference.parameters(), gradients, strict=True):
                parameter.sub_(0.5 * gradient)
        for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize(
    "switched_off",
    [
        Adversary(0.0, 1.0, 0.0, 1.0),
        Adversary(0.3, 0.0, 0.3, 0.0),
        Adversary(0.0, 1.0, 0.3, 0.0),
        Adversary(0.3, 0.0, 0.0, 1.0),
    ],
)
@pytest.mark.parametrize("name", MODELS)
def test_levels_switched_off_are_standard_training_bit_for_bit(
    name: ModelName, switched_off: Adversary
) -> None:
    standard, arm = model_of(name, dropout=0.5), model_of(name, dropout=0.5)
    losses, expected = train(arm, switched_off, 5), train(standard, OFF, 5)
    assert all(torch.equal(a, b) for a, b in zip(losses, expected, strict=True))
    for ours, theirs in zip(arm.parameters(), standard.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("adversary", "reported"),
    [
        (Adversary(0.2, 1, 0, 1), (True, False)),
        (Adversary(0, 1, 0.2, 1), (False, True)),
        (BOTH, (True, True)),
    ],
)
def test_one_level_does_not_need_the_other(adversary: Adversary, reported: tuple[bool, bool]) -> None:
    model, standard = model_of("sasrec", dropout=0.5), model_of("sasrec", dropout=0.5)
    (losses,), (expected,) = train(model, adversary, 1), train(standard, OFF, 1)
    assert losses[0] == expected[0]  # the clean pass drew the same masks
    assert tuple((losses[1:] > 0).tolist()) == reported
    assert not torch.equal(model.item_embedding.weight, standard.item_embedding.weight)


def test_a_perturbed_pass_never_moves_the_clean_draws() -> None:
    drawn, untouched = streams(), streams()
    for adversary, used in ((BOTH, drawn), (OFF, untouched)):
        model = model_of("sasrec", dropout=0.5)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        guard = FiniteGuard("cascade", 0, 10)
        training_step(
            model, optimiser, inputs_of(EVERY, NEGATIVES), adversary, streams=used, guard=guard, step=1
        )
    assert torch.equal(drawn.dropout.get_state(), untouched.dropout.get_state())
    assert not torch.equal(drawn.perturbed.get_state(), untouched.perturbed.get_state())
    assert torch.equal(untouched.perturbed.get_state(), streams().perturbed.get_state())


def gradient_of_step(model: SequenceModel, inputs: StepInputs, adversary: Adversary) -> tuple[Tensor, Tensor]:
    """Return the losses and all gradients as one vector; the weights stay where they are."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.0)
    guard = FiniteGuard("cascade", 0, 10)
    losses = training_step(model, optimiser, inputs, adversary, streams=streams(), guard=guard, step=1)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return losses, torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize("adversary", [OFF, BOTH])
@pytest.mark.parametrize("name", MODELS)
def test_padding_never_moves_the_loss(name: ModelName, adversary: Adversary) -> None:
    model = model_of(name)
    inputs = inputs_of(EVERY[:6], NEGATIVES, WEIGHTS)
    b, width = inputs.x_BL.shape
    wider = dataclasses.replace(
        inputs,
        **{
            field: torch.nn.functional.pad(getattr(inputs, field), (0, 5))
            for field in ("x_BL", "w_BL", "m_BL")
        },
        real_N=inputs.real_N // width * (width + 5) + inputs.real_N % width,
    )
    assert wider.x_BL.shape == (b, width + 5)
    losses, gradient = gradient_of_step(model, inputs, adversary)
    padded_losses, padded_gradient = gradient_of_step(model, wider, adversary)
    torch.testing.assert_close(padded_losses, losses, rtol=1e-5, atol=0)
    torch.testing.assert_close(padded_gradient, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_buckets_leave_the_expected_gradient_as_it_is(name: ModelName) -> None:
    """Over an epoch, Σ (targets in the batch) × (its gradient) is the gradient of all windows at once."""
    model = model_of(name)
    _, everything = gradient_of_step(model, inputs_of(EVERY, NEGATIVES), OFF)
    total = torch.zeros_like(everything)
    batches = BucketedBatches(WINDOWS, 5).epoch(seed=3, epoch=1)
    assert len(batches) > 3
    for windows in batches:
        inputs = inputs_of(windows, NEGATIVES)
        total += gradient_of_step(model, inputs, OFF)[1] * (len(inputs.real_N) / WINDOWS.n_targets)
    torch.testing.assert_close(total, everything, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_the_padding_row_stays_zero_under_every_force(name: ModelName) -> None:
    model = model_of(name, dropout=0.5)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.1, fused=True)
    for step in range(1, 4):
        inputs = inputs_of(EVERY, NEGATIVES, WEIGHTS)
        guard = FiniteGuard("cascade", 0, 10)
        training_step(
            model, optimiser, inputs, BOTH, streams=streams(), guard=guard, step=step, clip_norm=1.0
        )
    assert model.item_embedding.weight[0].abs().max() == 0


def test_clipping_bounds_the_step_and_leaves_short_gradients_alone() -> None:
    before = model_of("sasrec")
    inputs = inputs_of(EVERY, NEGATIVES)
    norm = gradient_of_step(before, inputs, OFF)[1].norm().item()
    for clip, expected in ((norm / 4, norm / 4), (norm * 4, norm)):
        model = copy.deepcopy(before)
        guard = FiniteGuard("standard", 0, 10)
        optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
        training_step(model, optimiser, inputs, OFF, streams=streams(), guard=guard, step=1, clip_norm=clip)
        moved = [(a - b).flatten() for a, b in zip(model.parameters(), before.parameters(), strict=True)]
        assert torch.cat(moved).norm().item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_half_precision_forward_passes_stay_near(name: ModelName) -> None:
    model = model_of(name)
    inputs = inputs_of(EVERY, NEGATIVES)
    losses = train(copy.deepcopy(model), BOTH, 1, sgd=True)[0]
    guard = FiniteGuard("cascade", 0, 10)
    half = training_step(
        model,
        torch.optim.SGD(model.parameters(), lr=0.5),
        inputs_of(EVERY[1::3], NEGATIVES, WEIGHTS),
        BOTH,
        streams=streams(),
        guard=guard,
        step=1,
        precision=torch.autocast("cpu", torch.bfloat16),
    )
    torch.testing.assert_close(half, losses, rtol=2e-2, atol=0)
    assert half.dtype == torch.float32
    assert inputs.x_BL.dtype == torch.int64


def test_points_of_a_batch_are_those_of_its_real_positions() -> None:
    model = model_of("sasrec")
    inputs = inputs_of(EVERY, NEGATIVES)
    table_VD = model.item_embedding.weight
    ranked = look_up(table_VD, inputs.target_N), look_up(table_VD, inputs.negatives)
    points = encode_points(model, model.embed(inputs.x_BL), inputs, BCE, ranked=ranked, generator=None)
    assert len(points.vectors[0]) == WINDOWS.n_targets == int(inputs.length_B.sum())
    assert torch.isfinite(BCE(points))


def test_the_sampler_feeds_the_step() -> None:
    batch = BucketedBatches(WINDOWS, 4).load(EVERY)
    negative_N = NegativeSampler(TRAIN, WINDOWS).draw(batch, generator_for(0, "negatives"))
    inputs = StepInputs.of(batch, negative_N, CPU)
    assert inputs.negatives.min() >= 1
    assert inputs.target_N.min() >= 1
    assert torch.equal(inputs.x_BL.view(-1)[inputs.real_N] > 0, torch.ones(WINDOWS.n_targets).bool())
