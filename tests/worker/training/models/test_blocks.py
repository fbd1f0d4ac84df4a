"""Every kind of block keeps what models promise; initialisation and scoring are what their settings say."""

from typing import Any

import pytest
import torch
from torch import Tensor

from worker.training.models.base import SequenceModel
from worker.training.models.build import build_model
from worker.training.models.scoring import Scoring
from worker.training.seeding import generator_for
from worker.training.settings import ItemNormalisation
from worker.training.spec import TrainSpec

V = 12
KINDS: dict[str, dict[str, Any]] = {
    "wide": {"feed_forward_multiplier": 3, "heads": 2},
    "pre_norm": {"block": "pre_norm", "heads": 2},
    "ligr": {"block": "ligr", "feed_forward_multiplier": 2},
    "gru4rec": {"model": "gru4rec", "block": "pre_norm"},
}


def model_of(kind: str, **settings: Any) -> SequenceModel:
    given = {"hidden_size": 8, "max_length": 6, **KINDS[kind], **settings}
    model = build_model(TrainSpec.model_validate(given), V)
    with torch.no_grad():
        model.item_embedding.weight.mul_(20)
    return model


def encode(model: SequenceModel, rows: list[list[int]], generator: torch.Generator | None = None) -> Tensor:
    x_BL = torch.tensor([row + [0] * (6 - len(row)) for row in rows])
    return model.encode(model.embed(x_BL), torch.tensor([len(row) for row in rows]), generator)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_reads_what_came_before_it_and_nothing_else(kind: str) -> None:
    model = model_of(kind, dropout=0.0).eval()
    alone, among = encode(model, [[1, 2, 3]]), encode(model, [[1, 2, 3], [4, 5, 6, 7, 8]])
    torch.testing.assert_close(alone[0, :3], among[0, :3])
    changed = encode(model, [[1, 9, 3]])
    torch.testing.assert_close(alone[0, 0], changed[0, 0])
    assert (alone[0, 1:3] - changed[0, 1:3]).abs().amax(1).min() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_state_alone_is_the_last_of_all(kind: str) -> None:
    model = model_of(kind).eval()
    rows = [[1, 2, 3], [4, 5, 6, 7, 8, 9], [10]]
    x_BL, length_B = torch.tensor([row + [0] * (6 - len(row)) for row in rows]), torch.tensor([3, 6, 1])
    expected = encode(model, rows)[torch.arange(3), length_B - 1]
    torch.testing.assert_close(model.encode_last(model.embed(x_BL), length_B), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["dropout", "embedding_dropout", "attention_dropout"])
def test_dropout_falls_where_it_is_set_and_comes_from_the_generator(kind: str, place: str) -> None:
    rates = {"dropout": 0.0, "embedding_dropout": 0.0, "attention_dropout": 0.0, place: 0.5}
    model = model_of(kind, **rates).train()
    first, again, other = (encode(model, [[1, 2, 3, 4]], generator_for(seed, "masks")) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    # GRU4Rec has no attention, and draws nothing for it.
    assert torch.equal(first, other) == (kind == "gru4rec" and place == "attention_dropout")


def test_gates_at_zero_let_half_of_a_change_through() -> None:
    gated, plain = model_of("ligr").eval(), model_of("ligr").eval()
    with torch.no_grad():
        for name, parameter in [*gated.named_parameters(), *plain.named_parameters()]:
            if "_gate." in name:
                parameter.zero_()
        for name, parameter in plain.named_parameters():  # an open gate, and half of the change
            if name.endswith("_gate.bias"):
                parameter.fill_(50.0)
            elif "project" in name or "contract" in name:
                parameter.mul_(0.5)
    torch.testing.assert_close(encode(gated, [[1, 2, 3]])[0, :3], encode(plain, [[1, 2, 3]])[0, :3])


@pytest.mark.parametrize("model", ["sasrec", "gru4rec"])
def test_initialisations_have_the_spread_that_they_name(model: str) -> None:
    def weights(kind: str, name: str) -> Tensor:
        given = {"model": model, "initialisation": kind, "initialisation_std": 0.05, "hidden_size": 64}
        return build_model(TrainSpec.model_validate(given), 400).state_dict()[name]

    inner = "blocks.0.query.weight" if model == "sasrec" else "layers.0.weight_hh_l0"
    for name in ("item_embedding.weight", inner):
        truncated = weights("truncated_normal", name)
        assert truncated.abs().max() <= 0.1
        assert truncated[1:].std().item() == pytest.approx(0.05 * 0.88, rel=0.05)
    assert weights("normal", "item_embedding.weight")[1:].std().item() == pytest.approx(0.05, rel=0.05)
    # Xavier normal: √(2 / (rows + columns)), each gate of a recurrent layer by itself.
    assert weights("xavier", inner).std().item() == pytest.approx((2 / 128) ** 0.5, rel=0.05)
    table = weights("xavier", "item_embedding.weight")
    assert table[0].abs().max() == 0
    assert table[1:].std().item() == pytest.approx((2 / (401 + 64)) ** 0.5, rel=0.05)


@pytest.mark.parametrize(("normalisation", "expected"), [("none", 24.0), ("items", 8.0), ("cosine", 1.6)])
def test_scores_are_by_length_or_by_direction(normalisation: ItemNormalisation, expected: float) -> None:
    scoring = Scoring(normalisation, temperature=0.5)
    h, e = torch.tensor([3.0, 4.0]), torch.tensor([0.0, 3.0])
    assert (scoring.states(h) @ scoring.vectors(e)).item() == pytest.approx(expected)
    assert scoring.vectors(torch.zeros(2)).tolist() == [0.0, 0.0]
