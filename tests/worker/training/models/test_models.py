"""What every model promises: causality, indifference to padding, weights of its own seed."""

import math

import pytest
import torch
from torch import Tensor

from worker.training.models.attention import causal_attention
from worker.training.models.base import SequenceModel
from worker.training.models.build import build_model
from worker.training.models.gru4rec import GRU4Rec
from worker.training.models.sasrec import SASRec
from worker.training.seeding import generator_for
from worker.training.settings import ModelName
from worker.training.spec import TrainSpec

V = 12
MODELS: tuple[ModelName, ...] = ("sasrec", "gru4rec")


def model_of(name: ModelName, **settings: object) -> SequenceModel:
    spec = TrainSpec.model_validate(
        {"model": name, "hidden_size": 8, "max_length": 6, "heads": 2 if name == "sasrec" else 1, **settings}
    )
    model = build_model(spec, V)
    # Fresh embeddings are so short that differences would hide in rounding.
    with torch.no_grad():
        model.item_embedding.weight.mul_(20)
    return model


def encode(model: SequenceModel, rows: list[list[int]], width: int | None = None) -> Tensor:
    width = width or max(map(len, rows))
    x_BL = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    return model.encode(model.embed(x_BL), torch.tensor([len(row) for row in rows]))


@pytest.mark.parametrize("name", MODELS)
def test_a_later_item_never_changes_an_earlier_state(name: ModelName) -> None:
    model = model_of(name).eval()
    before, after = encode(model, [[1, 2, 3, 4, 5]]), encode(model, [[1, 2, 3, 9, 10]])
    torch.testing.assert_close(before[0, :3], after[0, :3])
    assert (before[0, 3:] - after[0, 3:]).abs().max() > 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_an_earlier_item_changes_a_later_state(name: ModelName) -> None:
    model = model_of(name).eval()
    assert (encode(model, [[1, 2, 3]]) - encode(model, [[7, 2, 3]]))[0, 2].abs().max() > 1e-3


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_padding_and_neighbours_never_change_a_state(name: ModelName, training: bool) -> None:
    model = model_of(name, dropout=0.0).train(training)
    alone = encode(model, [[1, 2, 3]])
    together = encode(model, [[1, 2, 3], [4, 5, 6, 7, 8]], width=6)
    torch.testing.assert_close(alone[0], together[0, :3], rtol=1e-5, atol=1e-6)


def test_positions_are_counted_from_the_end() -> None:
    model = model_of("sasrec").eval()
    assert isinstance(model, SASRec)
    x_BL = torch.tensor([[3, 4, 0, 0]])
    e_BLD = model.embed(x_BL).detach()
    reference = model.encode(e_BLD, torch.tensor([2]))[0, :2]
    with torch.no_grad():  # rows of a window of 6 that two inputs must not meet
        model.position_embedding.weight[:4] += 100.0
    torch.testing.assert_close(model.encode(e_BLD, torch.tensor([2]))[0, :2], reference)
    with torch.no_grad():  # the last input's row
        model.position_embedding.weight[5] += 1.0
    moved = (model.encode(e_BLD, torch.tensor([2]))[0, :2] - reference).abs().amax(1)
    assert moved[0] < 1e-6
    assert moved[1] > 1e-3


def test_attention_with_and_without_fused_kernel_agree() -> None:
    q, k, v = torch.randn(3, 2, 2, 5, 4, generator=generator_for(0, "test"))
    # A dropout of 1e-9 draws masks that keep everything: the plain form, without its randomness.
    plain = causal_attention(q, k, v, 1e-9, generator_for(0, "masks"))
    torch.testing.assert_close(plain, causal_attention(q, k, v, 0.5, None))
    by_hand = ((q[0, 0] @ k[0, 0].T) / math.sqrt(4)).masked_fill(torch.ones(5, 5).triu(1).bool(), -math.inf)
    torch.testing.assert_close(plain[0, 0], by_hand.softmax(-1) @ v[0, 0])


def test_sasrec_is_the_formula_of_its_docstring() -> None:
    model = model_of("sasrec", blocks=2).eval()
    assert isinstance(model, SASRec)
    generator = generator_for(1, "test")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    weights = model.state_dict()

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
        scaled = (x - mean) / torch.sqrt(variance + 1e-8)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    items = [5, 1, 9, 2]
    x = weights["item_embedding.weight"][items] * math.sqrt(8) + weights["position_embedding.weight"][2:]
    for block in ("blocks.0", "blocks.1"):
        q = norm(x, f"{block}.attention_norm")
        parts = []
        for head in (slice(0, 4), slice(4, 8)):
            query = linear(q, f"{block}.query")[:, head]
            key, value = linear(x, f"{block}.key")[:, head], linear(x, f"{block}.value")[:, head]
            rows = [(query[t] @ key[: t + 1].T / 2.0).softmax(-1) @ value[: t + 1] for t in range(4)]
            parts.append(torch.stack(rows))
        z = norm(q + torch.cat(parts, 1), f"{block}.feed_forward_norm")
        x = z + linear(linear(z, f"{block}.expand").relu(), f"{block}.contract")
    expected = norm(x, "final_norm")
    h_BLD = encode(model, [items])
    torch.testing.assert_close(h_BLD[0], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        model.score(h_BLD[0]), expected @ weights["item_embedding.weight"].T, rtol=1e-4, atol=1e-4
    )


def test_gru4rec_is_the_formula_of_its_docstring() -> None:
    model = model_of("gru4rec", blocks=2).eval()
    assert isinstance(model, GRU4Rec)
    generator = generator_for(2, "test")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    weights = model.state_dict()
    items = [5, 1, 9, 2]
    x = weights["item_embedding.weight"][items] * math.sqrt(8)
    for layer in ("layers.0", "layers.1"):
        state, states = torch.zeros(8), []
        for step in x:
            of_input = weights[f"{layer}.weight_ih_l0"] @ step + weights[f"{layer}.bias_ih_l0"]
            of_state = weights[f"{layer}.weight_hh_l0"] @ state + weights[f"{layer}.bias_hh_l0"]
            (ir, iz, i_new), (hr, hz, h_new) = of_input.chunk(3), of_state.chunk(3)
            r, z = torch.sigmoid(ir + hr), torch.sigmoid(iz + hz)
            state = (1 - z) * torch.tanh(i_new + r * h_new) + z * state
            states.append(state)
        x = torch.stack(states)
    expected = x @ weights["output.weight"].T + weights["output.bias"]
    torch.testing.assert_close(encode(model, [items])[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_fresh_weights_follow_the_seed_alone(name: ModelName) -> None:
    spec = TrainSpec(model=name)
    torch.manual_seed(1)
    first = build_model(spec, 400).state_dict()
    torch.manual_seed(2)
    again, other = build_model(spec, 400, seed=0).state_dict(), build_model(spec, 400, seed=1).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["item_embedding.weight"], other["item_embedding.weight"])


@pytest.mark.parametrize("name", MODELS)
def test_fresh_embeddings_are_short_and_padding_is_zero(name: ModelName) -> None:
    table = build_model(TrainSpec(model=name), 400).item_embedding.weight.detach()
    assert table[0].abs().max() == 0
    assert table[1:].norm(dim=-1).mean() == pytest.approx(0.16, rel=0.05)


@pytest.mark.parametrize("name", MODELS)
def test_dropout_masks_come_from_the_given_generator_alone(name: ModelName) -> None:
    model = model_of(name, dropout=0.5).train()
    e_BLD, length_B = model.embed(torch.tensor([[1, 2, 3]])), torch.tensor([3])
    torch.manual_seed(1)
    first = model.encode(e_BLD, length_B, generator_for(0, "dropout"))
    torch.manual_seed(2)
    assert torch.equal(first, model.encode(e_BLD, length_B, generator_for(0, "dropout")))
    assert not torch.equal(first, model.encode(e_BLD, length_B, generator_for(1, "dropout")))


@pytest.mark.parametrize("name", MODELS)
def test_evaluation_draws_nothing(name: ModelName) -> None:
    model = model_of(name, dropout=0.5).eval()
    generator = generator_for(0, "dropout")
    before = generator.get_state()
    with_generator = model.encode(model.embed(torch.tensor([[1, 2]])), torch.tensor([2]), generator)
    assert torch.equal(generator.get_state(), before)
    assert torch.equal(with_generator, encode(model, [[1, 2]]))
