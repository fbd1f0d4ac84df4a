"""The share of a history that each arm perturbs, chosen on validation: the steadiest that is accurate enough.

How strong a perturbation may be before it costs accuracy differs between data sets of one kind
(docs/study.md), so that no default suits all. No test figure enters the choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

from worker.training.attacks.run import run_attacks
from worker.training.choosing import choose
from worker.training.data.split import Split
from worker.training.evaluation.evaluate import weights_scorer
from worker.training.fitting.checkpoint import pack
from worker.training.fitting.choice import CHOSEN_BY
from worker.training.fitting.stored import Stored
from worker.training.fitting.trainer import Outcome, Trainer
from worker.training.heard import Heard
from worker.training.progress import CheckpointStore, DivergedError, OutOfTimeError
from worker.training.seeding import derive_seed
from worker.training.settings import Arm
from worker.training.shares import SETTING, is_searched, name_at, names_of
from worker.training.spec import TrainSpec

_ATTACK: Final[Mapping[str, Any]] = {
    "attack_positions": ("end",),
    "attack_counts": (1,),
    "attack_replacements": ("uniform",),
}
"""What shares are compared under: the last item of the history replaced by any other."""
_KEPT: Final = "searched"
"""Under this name a checkpoint's state has what was found of its model."""


@dataclass(frozen=True)
class Trial:
    """An arm trained at one share: NDCG@10 on validation, clean and attacked (None if nobody can be)."""

    share: float
    clean: float
    attacked: float | None
    best_epoch: int
    epochs: int
    stop_reason: str
    seconds: float


class ShareSearch:
    """Finds the share of each searched arm, with the job's first seed: at each share the arms take turns.

    What a trial found is kept in its checkpoint, and the weights of those not chosen are dropped: a run that
    is taken up again trains none of them twice. content: of `content_hash`, to which findings belong.
    """

    def __init__(
        self,
        trainer: Trainer,
        spec: TrainSpec,
        split: Split,
        *,
        heard: Heard,
        checkpoints: CheckpointStore,
        content: str,
    ) -> None:
        self._trainer, self._spec, self._split = trainer, spec, split
        self._heard, self._checkpoints, self._content = heard, checkpoints, content
        self._seed = spec.seeds[0]
        # Other draws than the test's, under which what is chosen here is measured.
        self._attack_seed = derive_seed(spec.attack_seed, "search") % 2**31
        self._arms = [arm for arm in spec.arms if is_searched(spec, arm)]
        self._standard: Trial | None = None
        self._out_of_time: OutOfTimeError | None = None
        self._trials: dict[Arm, list[Trial]] = {arm: [] for arm in self._arms}
        self._diverged: dict[Arm, list[float]] = {arm: [] for arm in self._arms}
        self._newly_tried: set[Arm] = set()
        self.chosen: dict[Arm, float] = {}
        """By arm, the share that was found for it."""

    def share_of(self, arm: Arm) -> float | None:
        """Return the arm's share, searched for when one is asked first; None where the spec's own counts.

        Raises what training raises; DivergedError when the arm diverged at every share, OutOfTimeError when
        there was time for none.
        """
        if arm not in self._arms:
            return None
        if self._out_of_time is not None:  # asked again, it would be trained a step further each time
            raise self._out_of_time
        if self._standard is None:
            self._search()
        if arm not in self.chosen:
            raise OutOfTimeError(f"arm {arm} was not begun at any share")
        return self.chosen[arm]

    def found(self) -> dict[str, Any] | None:
        """Return the report's `search`; None where nothing was to be searched, or there was no time to."""
        if self._standard is None or not self.chosen:
            return None
        clean = self._standard.clean
        return {
            "seed": self._seed,
            "floor": self._spec.search_floor,
            "standard": {CHOSEN_BY: clean, f"attacked_{CHOSEN_BY}": self._standard.attacked},
            "complete": all(self._is_complete(arm) for arm in self._arms),
            "arms": {arm: self._arm(arm, share, clean) for arm, share in self.chosen.items()},
        }

    def discard_unfinished(self) -> None:
        """Forget what is left of trials that never ended."""
        for arm in self._arms:
            for name in names_of(self._spec, arm):
                self._checkpoints.discard("progress", self._seed, name)

    def _search(self) -> None:
        try:
            standard = self._trainer.train("standard", self._seed)
        except OutOfTimeError as error:
            self._out_of_time = error
            raise
        stored: dict[tuple[Arm, float], Stored] = {}  # without their tensors: there may be many
        for share, arm in product(self._spec.search_shares, self._arms):
            if self._heard.finishing and not self._trainer.has_begun(arm, self._seed, share):
                continue
            try:
                trial, stored[arm, share] = self._trial(arm, share)
                self._trials[arm].append(trial)
            except OutOfTimeError:
                continue
            except DivergedError as error:
                self._note_divergence(arm, share, error)
            self._heard.trained_one(self._seed)
        self._standard = self._measured(standard, 0.0)
        for arm, trials in self._trials.items():
            if trials:
                self.chosen[arm] = self._chosen(arm, trials, self._standard.clean)
        for (arm, share), one in stored.items():
            if share != self.chosen[arm]:
                self._checkpoints.save(one.key, pack(one.tensors, one.state))

    def _chosen(self, arm: Arm, trials: Sequence[Trial], standard: float) -> float:
        floor = self._spec.search_floor
        chosen = choose(trials, standard=standard, floor=floor, prefer=smaller_share)
        if arm not in self._newly_tried:  # it was said before
            return chosen.share
        ratio = f"{chosen.clean / standard:.1%} of" if standard else "beside"
        self._heard.event(
            "share_chosen",
            f"{SETTING[arm]} of {arm} is {chosen.share:g}, of {len(trials)} tried: {ratio} standard's clean "
            "validation NDCG@10",
            {"arm": arm, "share": chosen.share, "tried": [trial.share for trial in trials]},
        )
        return chosen.share

    def _trial(self, arm: Arm, share: float) -> tuple[Trial, Stored]:
        """Train at a share and attack what was chosen, or read back what that led to."""
        outcome = self._trainer.train(arm, self._seed, share)
        kept = outcome.stored.state.get(_KEPT)
        if kept is not None and kept["content"] == self._content:
            return _trial_of(outcome, share, kept["attacked"]), replace(outcome.stored, tensors={})
        if not outcome.weights:  # dropped on other held-out data
            self._checkpoints.discard("best", self._seed, name_at(arm, share))
            outcome = self._trainer.train(arm, self._seed, share)
        self._newly_tried.add(arm)
        trial = self._measured(outcome, share)
        state = {**outcome.stored.state, _KEPT: {"content": self._content, "attacked": trial.attacked}}
        self._checkpoints.save(outcome.stored.key, pack(outcome.stored.tensors, state))
        return trial, Stored(outcome.stored.key, {}, state)

    def _note_divergence(self, arm: Arm, share: float, error: DivergedError) -> None:
        self._diverged[arm].append(share)
        if len(self._diverged[arm]) == len(self._spec.search_shares):
            raise error
        self._heard.event("share_diverged", f"{error}: this share is left out", {"arm": arm, "share": share})

    def _measured(self, outcome: Outcome, share: float) -> Trial:
        self._heard.phase("evaluating", arm=outcome.stored.key.arm, seed=outcome.seed)
        (row,) = run_attacks(
            weights_scorer(self._spec, outcome.weights, self._split.n_items, self._trainer.device),
            self._split,
            self._spec.model_copy(update={**_ATTACK, "attack_seed": self._attack_seed}),
            max_length=self._spec.max_length,
            phase="validation",
            tick=self._heard.between,
        ).rows
        return _trial_of(outcome, share, row[CHOSEN_BY])

    def _is_complete(self, arm: Arm) -> bool:
        """Whether every share was tried to its end."""
        ended = [trial for trial in self._trials[arm] if trial.stop_reason != "max_runtime"]
        return len(ended) + len(self._diverged[arm]) == len(self._spec.search_shares)

    def _arm(self, arm: Arm, share: float, standard: float) -> dict[str, Any]:
        rows = [
            {
                "share": trial.share,
                CHOSEN_BY: trial.clean,
                "of_standard": trial.clean / standard if standard else None,
                f"attacked_{CHOSEN_BY}": trial.attacked,
                "best_epoch": trial.best_epoch,
                "epochs": trial.epochs,
                "stop_reason": trial.stop_reason,
                "seconds": trial.seconds,
            }
            for trial in self._trials[arm]
        ]
        (own,) = [trial for trial in self._trials[arm] if trial.share == share]
        return {
            "setting": SETTING[arm],
            "share": share,
            "accurate_enough": own.clean >= self._spec.search_floor * standard,
            "complete": self._is_complete(arm),
            "diverged": self._diverged[arm],
            "trials": rows,
        }


def smaller_share(trial: Trial) -> float:
    """Of equals the weaker perturbation is taken."""
    return -trial.share


def _trial_of(outcome: Outcome, share: float, attacked: float | None) -> Trial:
    return Trial(
        share=share,
        clean=outcome.validation[CHOSEN_BY],
        attacked=attacked,
        best_epoch=outcome.best_epoch,
        epochs=outcome.epochs,
        stop_reason=outcome.stop_reason,
        seconds=outcome.seconds,
    )
