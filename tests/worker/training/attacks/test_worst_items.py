"""Gradients at a history's inputs against finite differences, and the choice against all candidates."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.worker.training.synthetic import markov_sequences
from worker.training.attacks.worst_items import WorstItems
from worker.training.data.histories import Histories
from worker.training.data.split import LeaveOneOut, leave_one_out
from worker.training.evaluation import evaluate as evaluate_module
from worker.training.evaluation.baselines import Popularity
from worker.training.evaluation.evaluate import ModelScorer, model_scorer
from worker.training.evaluation.scorers import DifferentiableScorer, last_windows
from worker.training.models.build import build_model
from worker.training.settings import ModelName
from worker.training.spec import TrainSpec


def setting(model: ModelName) -> tuple[LeaveOneOut, ModelScorer, Histories, np.ndarray]:
    split = leave_one_out(markov_sequences(25, 15))
    network = build_model(TrainSpec(model=model, max_length=6, hidden_size=8), 15).double()
    network.initialise(torch.Generator().manual_seed(1))
    with torch.no_grad():
        network.item_embedding.weight.mul_(20)
    histories = Histories(*split.histories("test"))
    return split, model_scorer(network, 6), histories, split.test_target.astype(np.int64)


@pytest.mark.parametrize("model", ["sasrec", "gru4rec"])
def test_gradients_against_finite_differences(model: ModelName, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_module, "_ENCODED_POSITIONS", 30)
    _, scorer, histories, targets = setting(model)
    network = scorer.model.train()
    found = scorer.loss_gradients(histories, targets)
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    network.eval()
    x_BL, length_B = last_windows(histories, 6)
    direction = torch.randn(8, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 1e-4

    def loss(e_BLD: torch.Tensor, row: int) -> torch.Tensor:
        with torch.no_grad():
            scores = network.score(network.encode_last(e_BLD, length_B[row : row + 1]))
        return functional.cross_entropy(scores[:, 1:], torch.tensor([targets[row] - 1]))

    moved = 0
    for row in range(0, len(histories), 5):
        for place in range(int(length_B[row])):
            e_BLD = network.embed(x_BL[row : row + 1]).detach()
            step = torch.zeros_like(e_BLD)
            step[0, length_B[row] - 1 - place] = direction
            rise = float(loss(e_BLD + step, row) - loss(e_BLD - step, row))
            assert float(found[row, place] @ direction) == pytest.approx(rise / 2, rel=1e-3, abs=1e-8)
            moved += abs(rise) > 1e-7
        assert not found[row, length_B[row] :].any()
    assert moved > 10


def test_the_choice_is_the_largest_first_order_rise() -> None:
    _, scorer, histories, targets = setting("sasrec")
    worst = WorstItems.of(scorer, histories, targets)
    users = np.flatnonzero(histories.lengths > 2)
    places = np.tile([0, 2], (len(users), 1))
    chosen = worst.choose(users, histories.take(users), places, targets[users])
    vectors = scorer.item_vectors()
    for row, user in enumerate(users):
        history = histories.items[histories.offsets[user] : histories.offsets[user + 1]].tolist()
        for place, item in zip(places[row], chosen[row], strict=True):
            rises = worst.gradients[user, place] @ (vectors - vectors[history[-1 - place]]).T
            rises[[0, *history, targets[user]]] = -torch.inf
            assert item == int(rises.argmax())


def test_nothing_left_to_choose_is_said() -> None:
    _, scorer, _, _ = setting("sasrec")
    everything = Histories(np.array([0, 14]), np.arange(1, 15, dtype=np.int32))
    worst = WorstItems.of(scorer, everything, np.array([15]))
    assert worst.choose(np.array([0]), everything, np.array([[0]]), np.array([15])).tolist() == [[0]]


def test_baselines_have_no_gradients() -> None:
    split, scorer, _, _ = setting("gru4rec")
    assert isinstance(scorer, DifferentiableScorer)
    assert not isinstance(Popularity(split), DifferentiableScorer)
