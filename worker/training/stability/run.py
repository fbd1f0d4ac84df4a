"""Rank-list stability: how far users' lists move when one training interaction is another or missing.

Every arm of the first seed is trained anew, for `stability_epochs`, on the data as they are (the reference),
on the same with another seed (the control), and once for every change. All but the control share
initialisation, batches, and every window's draws (`Trainer`'s `like`), so that what differs from
the reference comes from the change alone. Users are ranked by their unchanged test histories.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from worker.training.data.batching import Windows, cut_windows
from worker.training.data.split import Split
from worker.training.evaluation.evaluate import Tick, evaluate, weights_scorer
from worker.training.evaluation.metrics import list_agreement
from worker.training.fitting.choice import CHOSEN_BY, Validate
from worker.training.fitting.state import Weights
from worker.training.fitting.stored import WARMUP
from worker.training.fitting.trainer import Trainer
from worker.training.fitting.warm_start import WarmStart
from worker.training.progress import (
    CheckpointKey,
    CheckpointStore,
    CheckpointUnreadableError,
    OutOfTimeError,
    Progress,
)
from worker.training.seeding import derive_seed
from worker.training.settings import Arm
from worker.training.shares import all_epochs, name_at
from worker.training.spec import TrainSpec
from worker.training.stability.apart import CheckpointsApart, Part, Quietly
from worker.training.stability.changes import CHOICES, Change, choose_changes
from worker.training.stability.lists import TopLists, keep_lists, read_lists

AGREEMENT = ("jaccard", "overlap", "rbo", "top1_changed")
_CONTROL = {"change": "seed", "chosen": None, "effect": None, "from_end": None}


@dataclass(frozen=True)
class Retraining:
    """One training of every arm: on the data with `change`, None = as they are, from `seed`.

    name: what its checkpoints are called, the same for any number of changes. number: its turn, from 0.
    """

    name: str
    number: int
    seed: int
    change: Change | None = None

    def facts(self) -> dict[str, Any]:
        """What the report says of it."""
        return self.change.facts() if self.change else dict(_CONTROL)


def retrainings(split: Split, spec: TrainSpec) -> list[Retraining]:
    """Return the reference, the control, and one training for each change."""
    seed = spec.seeds[0]
    other = derive_seed(seed, "stability control") % 2**31
    changed = [
        Retraining(f"stability_{change.name}", 2 + turn, seed, change)
        for turn, change in enumerate(choose_changes(split, spec))
    ]
    return [Retraining("stability_reference", 0, seed), Retraining("stability_control", 1, other), *changed]


def share_of_job(spec: TrainSpec) -> float:
    """Return the share of a job's epochs that is not this phase's, 1 when it is off. An estimate."""
    if not spec.stability_changes:
        return 1.0
    own = all_epochs(spec)
    trainings = 2 + 2 * len(CHOICES) * spec.stability_changes
    return own / (own + trainings * all_epochs(_spec_of(spec, spec.seeds[0])))


@dataclass(frozen=True)
class Stability:
    """The phase, ready to be run.

    progress hears of the whole phase as of fractions 0 to 1; tick is asked between blocks of an evaluation
    and may raise to end the run; content: of `content_hash`, to which kept lists belong.
    """

    spec: TrainSpec
    split: Split
    validate: Validate
    progress: Progress
    checkpoints: CheckpointStore
    tick: Tick
    content: str
    device: torch.device
    warm_start: WarmStart | None = None
    shares: Mapping[Arm, float] = field(default_factory=dict)
    """Of the arms whose share was searched, what was found."""

    def run(self) -> dict[str, Any]:
        """Train, compare and return the report's `stability`; what was done before is read back.

        Asked to finish, it ends with what there is, and says so by `complete`. Raises Stopped, and what
        training and ranking raise.
        """
        self.progress.phase("stability", seed=self.spec.seeds[0])
        planned = retrainings(self.split, self.spec)
        like = cut_windows(self.split.train, self.spec.max_length, self.spec.windows_per_user)
        reference: TopLists | None = None
        rows: dict[Arm, list[dict[str, Any]]] = {arm: [] for arm in self.spec.arms}
        done = 0
        for one in planned:
            try:
                lists = self._lists_of(one, like, len(planned))
            except OutOfTimeError:
                break
            done += 1
            if reference is None:
                reference = lists
                continue
            for arm in self.spec.arms:  # at once: the lists of a million users are not kept
                agreement = _agreement(reference, lists, arm)
                rows[arm].append({**one.facts(), **agreement, "ndcg@10": lists.ndcg[arm]})
        return {
            "seed": self.spec.seeds[0],
            "epochs": _spec_of(self.spec, self.spec.seeds[0]).epochs,
            "kappa": self.spec.kappa,
            "users": len(self.split.users("test")),
            "complete": done == len(planned),
            "arms": {arm: _arm(reference.ndcg[arm], rows[arm]) for arm in rows} if reference else {},
        }

    def _lists_of(self, one: Retraining, like: Windows, of: int) -> TopLists:
        """Train every arm, or read back what it led to."""
        spec = _spec_of(self.spec, one.seed)
        key = CheckpointKey("best", one.seed, one.name, spec.epochs, 0)
        belongs = self._belongs(one, spec)
        kept = read_lists(self.checkpoints, key, belongs)
        if kept is not None:
            return kept
        apart = CheckpointsApart(self.checkpoints, one.name)
        part = Part(self.progress, one.number / of, (one.number + 1) / of)
        trainer = Trainer(
            spec,
            one.change.applied(self.split.train) if one.change else self.split.train,
            validate=self.validate,
            progress=Quietly(part, 0.0, 1.0),
            checkpoints=apart,
            device=self.device,
            warm_start=self.warm_start,
            like=like,
        )
        found = TopLists({}, {})
        for arm in spec.arms:
            weights = self._trained(trainer, apart, arm, one.seed)
            scorer = weights_scorer(spec, weights, self.split.n_items, self.device)
            ranked = evaluate(scorer, self.split, "test", exclude_seen=spec.exclude_seen, tick=self.tick)
            assert ranked.lists is not None  # noqa: S101 - asked for
            found.lists[arm], found.ndcg[arm] = ranked.lists, ranked.metrics[CHOSEN_BY]
        keep_lists(self.checkpoints, key, found, belongs)
        for arm in spec.arms:
            apart.discard("best", one.seed, name_at(arm, self.shares.get(arm)))
        apart.discard("warmup", one.seed, WARMUP)
        said = "as they are" if one.change is None else f"with an interaction {one.change.kind}"
        part.event(
            "stability",
            f"trained again on the data {said}: {one.number + 1} of {of}",
            {"done": one.number + 1, "of": of, **one.facts()},
        )
        return found

    def _trained(self, trainer: Trainer, apart: CheckpointsApart, arm: Arm, seed: int) -> Weights:
        """The arm's weights; trained anew where what is left of it was begun for other `stability_epochs`."""
        share = self.shares.get(arm)
        try:
            return trainer.train(arm, seed, share).weights
        except CheckpointUnreadableError:
            apart.discard("progress", seed, name_at(arm, share))
            apart.discard("best", seed, name_at(arm, share))
            apart.discard("warmup", seed, WARMUP)
            return trainer.train(arm, seed, share).weights

    def _belongs(self, one: Retraining, spec: TrainSpec) -> Mapping[str, Any]:
        start = self.warm_start.identity if self.warm_start is not None else None
        # The number of changes says which there are, not what one of them does.
        settings = spec.model_dump_json(exclude={"stability_changes", "stability_epochs"})
        change = vars(one.change) if one.change else None
        what = json.dumps(
            [
                *(settings, self.content, change, start, torch.__version__, torch.get_num_threads()),
                torch.backends.cpu.get_cpu_capability(),
                *([dict(self.shares)] if self.shares else ()),
            ]
        )
        return {"sha256": hashlib.sha256(what.encode()).hexdigest(), "device": self.device.type}


def _spec_of(spec: TrainSpec, seed: int) -> TrainSpec:
    """All trainings run the same number of epochs and keep the last: when to stop is left to no chance."""
    epochs = min(spec.epochs, spec.stability_epochs)
    changed = {"epochs": epochs, "validate_every": epochs, "patience": 100_000, "min_epochs": 0}
    # A search for shares is over by now.
    return spec.model_copy(update={**changed, "seed": seed, "seeds": (seed,), "search_shares": ()})


def _arm(reference_ndcg: float, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """An arm's trainings, each as it agrees with the reference, and their means by kind of change."""
    kinds = dict.fromkeys((row["change"], row["chosen"]) for row in rows)
    return {
        "ndcg@10": reference_ndcg,
        "changes": [_mean([row for row in rows if (row["change"], row["chosen"]) == kind]) for kind in kinds],
        "retrainings": rows,
    }


def _agreement(reference: TopLists, lists: TopLists, arm: str) -> dict[str, float]:
    compared = list_agreement(reference.lists[arm], lists.lists[arm])
    return {name: float(np.mean(compared[name])) for name in AGREEMENT}


def _mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    figures = {name: float(np.mean([row[name] for row in rows])) for name in (*AGREEMENT, "ndcg@10")}
    return {"change": rows[0]["change"], "chosen": rows[0]["chosen"], "n": len(rows), **figures}
