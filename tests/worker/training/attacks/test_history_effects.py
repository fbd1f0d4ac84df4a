"""Effects of a test history's items are those that training had, and the highest are found."""

import numpy as np
import pytest

from tests.worker.training.synthetic import markov_sequences, sequences_of
from worker.training.adversary.cascade import cascade_effects
from worker.training.attacks.history_effects import HistoryEffects
from worker.training.data.batching import cut_windows
from worker.training.data.histories import Histories
from worker.training.data.split import EvaluationPhase, leave_one_out
from worker.training.spec import TrainSpec


@pytest.mark.parametrize("phase", ["validation", "test"])
@pytest.mark.parametrize("windows_per_user", [1, 3])
@pytest.mark.parametrize("kappa", [0.0, 0.5])
def test_they_are_those_of_training(phase: EvaluationPhase, windows_per_user: int, kappa: float) -> None:
    split = leave_one_out(markov_sequences(40, 12))
    spec = TrainSpec(max_length=5, kappa=kappa, windows_per_user=windows_per_user)
    histories = Histories(*split.histories(phase))
    lengths = np.minimum(histories.lengths, 5)
    found = HistoryEffects(split, spec, phase).of(histories, lengths)
    windows = cut_windows(split.train, 5, windows_per_user)
    effects = cascade_effects(windows, split.n_items, kappa)
    ends = split.train.offsets[1:]
    compared = 0
    for row, user in enumerate(split.eval_users):
        for window in np.flatnonzero(windows.user == user):
            for nth in range(windows.lengths[window]):
                place = int(ends[user] - windows.starts[window] - nth - 1) + (phase == "test")
                # Only the newest window is read; its first input is the next older one's last target.
                if place < lengths[row]:
                    assert found[row, place] == pytest.approx(effects[windows.offsets[window] + nth])
                    compared += 1
        assert np.isneginf(found[row, lengths[row] :]).all()
    assert compared > 60


def test_by_hand() -> None:
    # Items 1 and 2 are each read by other users' predictions; 4 and 5 by nobody's.
    split = leave_one_out(sequences_of([[4, 1, 5, 3, 2, 3], [1, 1, 2, 1, 2], [1, 2, 4, 5]]))
    histories = Histories(*split.histories("test"))
    windows = histories.lengths
    # User 0 trains on 4 1 5 3 and is tested on 4 1 5 3 2; item 1 has own 2 + 1 with user 1 and 1 with user 2.
    effects = HistoryEffects(split, TrainSpec(kappa=1.0), "test").of(histories, windows)
    assert effects[0].tolist() == [0.0, 0.0, 1.0, 2.0 + 3 + 1, 3.0]
    by_kappa = HistoryEffects(split, TrainSpec(kappa=1.0), "test").highest(
        histories.take(np.array([0])), windows[:1], 3, np.array([0])
    )
    assert by_kappa.tolist() == [[3, 4, 2]]
    by_position = HistoryEffects(split, TrainSpec(kappa=0.0), "test").highest(histories, windows, 2)
    assert by_position.tolist() == [[length - 1, length - 2] for length in windows]


def test_of_equal_effects_the_oldest() -> None:
    split = leave_one_out(sequences_of([[1, 2, 3], [1, 2, 3, 4]]))
    histories = Histories(*split.histories("test"))
    # Two places, neither an input of training where one interaction is left to train on.
    assert HistoryEffects(split, TrainSpec(), "test").highest(histories, histories.lengths, 2)[
        0
    ].tolist() == [1, 0]
