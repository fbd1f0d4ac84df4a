"""Rank-list stability: nothing but the changed interaction differs, and what is found, kept and reported."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.worker.training.synthetic import markov_sequences
from tests.worker.training.test_experiment import SMALL, Recorder, run, without_seconds
from worker.training.data.batching import Batch, cut_windows
from worker.training.data.sampling import HistoryReplacer, NegativeSampler
from worker.training.data.sequences import Sequences
from worker.training.data.split import leave_one_out
from worker.training.draws import CountedDraws
from worker.training.fitting.trainer import Trainer
from worker.training.progress import Control, MemoryCheckpoints, SilentProgress, StepProgress, Stopped
from worker.training.spec import TrainSpec
from worker.training.stability.changes import Change, choose_changes

SPLIT = leave_one_out(markov_sequences())
SPEC = TrainSpec.model_validate(
    SMALL
    | {"max_length": 6, "windows_per_user": 2, "heads": 2, "dropout": 0.4, "batch_size": 9, "epochs": 2}
    | {"warmup_epochs": 1, "arms": ["cascade_replacement"], "replace_share": 0.4, "stability_changes": 1}
)
SPEC = SPEC.model_copy(update={"validate_every": 2})


class Drawn:
    """What a training drew, by window: negatives, replaced histories, dropout words, and in which batch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, train: Sequences, model: str) -> None:
        self.rows: dict[tuple[Any, ...], list[Any]] = {}
        self._monkeypatch, self.batch = monkeypatch, 0
        with monkeypatch.context() as patched:
            patched.setattr(NegativeSampler, "draw", self._negatives(NegativeSampler.draw))
            patched.setattr(HistoryReplacer, "draw", self._replaced(HistoryReplacer.draw))
            patched.setattr(CountedDraws, "at", self._at(CountedDraws.at))
            patched.setattr(CountedDraws, "words", self._words(CountedDraws.words))
            trainer = Trainer(
                SPEC.model_copy(update={"model": model}),
                train,
                validate=lambda model: {"ndcg@10": 0.0},
                progress=SilentProgress(),
                checkpoints=MemoryCheckpoints(),
                like=cut_windows(SPLIT.train, SPEC.max_length, SPEC.windows_per_user),
            )
            self.weights = trainer.train("cascade_replacement", 0).weights

    def _negatives(self, draw: Any) -> Any:
        def recorded(sampler: NegativeSampler, batch: Batch, draws: Any) -> Any:
            self.batch += 1
            drawn = draw(sampler, batch, draws)
            at = 0
            for row, (window, length) in enumerate(
                zip(batch.window_B.tolist(), batch.length_B.tolist(), strict=True)
            ):
                self.rows["negatives", self.batch, window] = drawn[at : at + length].tolist()
                self.rows["inputs", self.batch, window] = batch.x_BL[row, :length].tolist()
                at += length
            return drawn

        return recorded

    def _replaced(self, draw: Any) -> Any:
        def recorded(replacer: HistoryReplacer, batch: Batch, draws: Any) -> Any:
            replaced = draw(replacer, batch, draws)
            for row, (window, length) in enumerate(
                zip(batch.window_B.tolist(), batch.length_B.tolist(), strict=True)
            ):
                self.rows["replaced", self.batch, window] = replaced[row, :length].tolist()
            return replaced

        return recorded

    def _at(self, at: Any) -> Any:
        def recorded(draws: Any, epoch: int, windows: Any) -> None:
            at(draws, epoch, windows)
            draws.now = (epoch, windows.tolist())

        return recorded

    def _words(self, words: Any) -> Any:
        def recorded(draws: Any, shape: tuple[int, ...]) -> Any:
            nth, (epoch, windows) = draws._draw, draws.now
            drawn = words(draws, shape)
            for window, row in zip(windows, drawn, strict=True):
                # The first place only: a batch's width may be another when its longest window is.
                self.rows["words", draws._base, epoch, window, nth] = row[(slice(0, 1),) * row.ndim].tolist()
            return drawn

        return recorded


def changes(kind: str) -> list[Change]:
    return [change for change in choose_changes(SPLIT, SPEC) if change.kind == kind]


@pytest.mark.parametrize("model", ["sasrec", "gru4rec"])
def test_with_one_interaction_less_all_other_windows_draw_the_same(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Drawn(monkeypatch, SPLIT.train, model)
    for change in [changes("removed")[0], changes("replaced")[1]]:
        user = int(np.searchsorted(SPLIT.train.offsets, change.position, side="right")) - 1
        windows = cut_windows(SPLIT.train, SPEC.max_length, SPEC.windows_per_user)
        own = set(np.flatnonzero(windows.user == user).tolist())
        after = Drawn(monkeypatch, change.applied(SPLIT.train), model)
        assert before.rows.keys() == after.rows.keys()
        differing = {key for key in before.rows if before.rows[key] != after.rows[key]}
        assert {key[2 if key[0] != "words" else 3] for key in differing} <= own
        assert any(key[0] == "inputs" for key in differing)
        assert any(
            not np.array_equal(before.weights[name].numpy(), after.weights[name].numpy())
            for name in before.weights
        )


def test_an_interaction_replaced_by_itself_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    change = changes("replaced")[0]
    itself = replace(change, item=int(SPLIT.train.items[change.position]))
    first, second = (
        Drawn(monkeypatch, train, "sasrec") for train in (SPLIT.train, itself.applied(SPLIT.train))
    )
    assert first.rows == second.rows
    for name, weights in first.weights.items():
        assert np.array_equal(weights.numpy(), second.weights[name].numpy())


WHOLE = TrainSpec.model_validate(
    SMALL
    | {"epochs": 3, "warmup_epochs": 1, "arms": ["standard", "cascade"], "seeds": [3, 4]}
    | {"stability_changes": 1, "stability_epochs": 2}
)


@pytest.fixture(scope="module")
def undisturbed() -> tuple[dict[str, Any], Recorder]:
    ear = Recorder()
    return run(WHOLE, ear, MemoryCheckpoints()).report, ear


def test_the_report_says_how_far_lists_move(undisturbed: tuple[dict[str, Any], Recorder]) -> None:
    report, ear = undisturbed
    found = report["stability"]
    assert (found["seed"], found["epochs"], found["complete"]) == (3, 2, True)
    assert found["users"] == report["dataset"]["eval_users"]
    kinds = [("seed", None)] + [
        (kind, chosen) for chosen in ("random", "highest_cascade") for kind in ("removed", "replaced")
    ]
    for arm in ("standard", "cascade"):
        rows = found["arms"][arm]["changes"]
        assert [(row["change"], row["chosen"]) for row in rows] == kinds
        control, *changed = rows
        for row in changed:
            # Twelve steps on, one interaction in 1,600 has moved less than another start has.
            assert control["rbo"] < row["rbo"] <= 1
            assert control["jaccard"] < row["jaccard"] <= 1
            assert 0 <= row["top1_changed"] < control["top1_changed"]
        assert len(found["arms"][arm]["retrainings"]) == 5
        assert 0 < found["arms"][arm]["ndcg@10"] < 1
    assert ("stability", None) in ear.phases
    assert ear.fractions == sorted(ear.fractions)
    assert ear.fractions[-1] == pytest.approx(1.0)
    assert {arm for arm, _ in ear.epochs} == {"warmup", "standard", "cascade"}
    assert max(epoch for _, epoch in ear.epochs) == 3


def test_without_the_phase_a_run_is_the_same(undisturbed: tuple[dict[str, Any], Recorder]) -> None:
    without = run(WHOLE.model_copy(update={"stability_changes": 0}), Recorder(), MemoryCheckpoints()).report
    assert without["stability"] is None
    assert without_seconds(without["arms"]) == without_seconds(undisturbed[0]["arms"])


class StopAfter(Recorder):
    """Saves and stops in the training after so many."""

    def __init__(self, trainings: int) -> None:
        super().__init__()
        self._trainings = trainings

    def step(self, at: StepProgress) -> Control:
        done = [message for kind, message in self.events if kind == "stability"]
        if len(done) == self._trainings and at.arm == "cascade":
            return Control.SAVE_AND_STOP
        return super().step(at)


def test_stopped_between_two_trainings_it_goes_on(undisturbed: tuple[dict[str, Any], Recorder]) -> None:
    checkpoints = MemoryCheckpoints()
    with pytest.raises(Stopped):
        run(WHOLE, StopAfter(2), checkpoints)
    second = Recorder()
    resumed = run(WHOLE, second, checkpoints).report
    assert without_seconds(resumed) == without_seconds(undisturbed[0])
    assert [kind for kind, _ in second.events].count("stability") == 4
    assert second.fractions[0] > undisturbed[1].fractions[0]
    kept = {(kind, arm) for (kind, _, arm), stored in checkpoints._kept.items() if stored}
    changes = (
        "removed_random_1",
        "replaced_random_1",
        "removed_highest_cascade_1",
        "replaced_highest_cascade_1",
    )
    named = {("best", f"stability_{name}") for name in ("reference", "control", *changes)}
    assert {(kind, arm) for kind, arm in kept if arm.startswith("stability")} == named


def test_stopped_in_one_it_goes_on_with_more_changes(undisturbed: tuple[dict[str, Any], Recorder]) -> None:
    checkpoints = MemoryCheckpoints()
    with pytest.raises(Stopped):
        run(WHOLE, StopAfter(4), checkpoints)  # in the first change where cascade is highest
    second = Recorder()
    more = run(WHOLE.model_copy(update={"stability_changes": 2}), second, checkpoints).report["stability"]
    assert [kind for kind, _ in second.events].count("stability") == 2 + 4 * 2 - 4
    before = undisturbed[0]["stability"]["arms"]["cascade"]["retrainings"]
    again = more["arms"]["cascade"]["retrainings"]
    assert all(row in again for row in before)
    assert len(again) == len(before) + 4


def test_stopped_in_one_it_is_begun_anew_for_other_epochs() -> None:
    checkpoints, other = MemoryCheckpoints(), WHOLE.model_copy(update={"stability_epochs": 3})
    with pytest.raises(Stopped):
        run(WHOLE, StopAfter(0), checkpoints)
    ear = Recorder()
    found = run(other, ear, checkpoints).report["stability"]
    assert (found["epochs"], found["complete"]) == (3, True)


def test_told_to_finish_it_ends_with_what_there_is() -> None:
    class FinishInSecond(Recorder):
        def step(self, at: StepProgress) -> Control:
            if any(kind == "stability" for kind, _ in self.events):
                return Control.FINISH
            return super().step(at)

    result = run(WHOLE, FinishInSecond(), MemoryCheckpoints())
    found = result.report["stability"]
    assert not found["complete"]
    assert found["arms"]["cascade"]["changes"] == []
    assert result.stop_reason == "max_runtime"
