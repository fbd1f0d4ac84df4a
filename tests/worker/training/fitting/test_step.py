"""The training step: against an independent reference, bit for bit where a level is off, blind to padding."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.worker.training.synthetic import markov_sequences
from worker.training.adversary.perturbation import OFF, Adversary
from worker.training.data.batching import BucketedBatches, cut_windows
from worker.training.data.sampling import NegativeSampler
from worker.training.fitting.finite import FiniteGuard
from worker.training.fitting.step import StepInputs, Streams, encode_points, training_step
from worker.training.losses.bce import BCE
from worker.training.losses.lookup import look_up
from worker.training.models.base import SequenceModel
from worker.training.models.build import build_model
from worker.training.progress import DivergedError
from worker.training.seeding import generator_for
from worker.training.spec import ModelName, TrainSpec

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


def poisoned(model: SequenceModel, how: str) -> SequenceModel:
    with torch.no_grad():
        if how == "loss":
            model.item_embedding.weight[1:] = float("inf")
        else:  # scores of 1e30 are finite, their gradient's norm is not
            model.item_embedding.weight.mul_(1e25)
    return model


@pytest.mark.parametrize("how", ["loss", "gradient"])
def test_a_number_that_is_none_stops_before_the_weights_move(how: str) -> None:
    model = poisoned(model_of("gru4rec"), how)
    before = copy.deepcopy(model.state_dict())
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    guard = FiniteGuard("cascade", seed=7, steps_per_epoch=10)
    inputs = inputs_of(EVERY, NEGATIVES)
    with pytest.raises(DivergedError, match=r"step 34 \(epoch 4, arm cascade, seed 7\)") as caught:
        training_step(model, optimiser, inputs, OFF, streams=streams(), guard=guard, step=34)
    assert ("ranking loss is" in str(caught.value)) == (how == "loss")
    assert "gradient norm is" in str(caught.value)
    assert caught.value.code == "diverged"
    assert "learning_rate" in caught.value.hint
    assert not optimiser.state
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_deferred_look_still_masks_the_bad_step_and_names_it() -> None:
    """What CUDA does to avoid a sync a step: here on the CPU's fused optimiser, which knows the same mask."""
    model = model_of("sasrec")
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    guard = FiniteGuard("standard", 0, 10, every=4)
    inputs = inputs_of(EVERY, NEGATIVES)

    def step(number: int) -> None:
        training_step(model, optimiser, inputs, OFF, streams=streams(), guard=guard, step=number)

    step(1)
    guard.read()
    sound = copy.deepcopy(model.state_dict())
    bias = model.get_parameter("final_norm.bias")
    moments = copy.deepcopy(optimiser.state[bias])
    with torch.no_grad():
        bias[0] = float("nan")
    step(2)
    with torch.no_grad():
        bias[0] = sound["final_norm.bias"][0]
    step(3)  # sound again, but nothing moves after a bad step
    assert all(torch.equal(sound[name], value) for name, value in model.state_dict().items())
    assert all(torch.equal(moments[key], value) for key, value in optimiser.state[bias].items())
    with pytest.raises(DivergedError, match=r"step 2 \(epoch 1"):
        step(4)


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
