"""Item replacement at test time: how much of a ranking survives when items of the history were others.

For every cell (position, count, replacement) the model ranks two histories of each user, the real one and
one with `count` items replaced, **among one candidate set**: all items less the original history and the
replacements (all items where seen ones are not excluded). Otherwise the attacked list could not show what
the clean list shows. Only users whose window is longer than the count take part.

The clean scores are computed once a block: a clean list that is long enough only has to lose the cell's
replacements, and a clean rank those that stood before the target.

Shape letters: n users of a block, m of them taking part, C replaced places, K list length.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from worker.training.attacks.cells import Cell, CellFigures, Outcomes, cells_of
from worker.training.attacks.history_effects import HistoryEffects
from worker.training.attacks.neighbours import Neighbours
from worker.training.attacks.replacement import DrawKey, Replacements, attacked_places
from worker.training.attacks.worst_items import WorstItems
from worker.training.data.histories import Histories
from worker.training.data.sequences import Int64
from worker.training.data.split import EvaluationPhase, Split
from worker.training.evaluation.evaluate import Tick, blocks, rank_block
from worker.training.evaluation.ranking import LIST_LENGTH, Ranking, catalogue_shuffle
from worker.training.evaluation.scorers import DifferentiableScorer, Scorer
from worker.training.settings import Replacement
from worker.training.spec import TrainSpec

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AttackResults:
    """What the attacks found.

    rows: one a cell, {position, count, replacement, n (users taking part), HR, NDCG and MRR at 5, 10 and 20,
    kept, overlap, jaccard, rbo, top1_changed, "clean_ndcg@10", rank_shift_mean, rank_shift_median}, each the
    mean over users of the mean over repeats (the median, of the last). `kept` is attacked over clean NDCG@10
    of the same users and candidates, None where the clean one is 0. A rank shift is how many places the
    target fell, over users whose target was seen in training. With n = 0 all figures are None.
    per_user: float32[E] arrays "<position>.<count>.<replacement>.<metric>" for the metrics of PER_USER, rows
    in the order of the split's `users(phase)`, NaN for users that take no part.
    """

    rows: list[dict[str, Any]]
    per_user: dict[str, Float32] = field(repr=False)


def no_attacks(spec: TrainSpec) -> AttackResults:
    """What attacks found that were not made: every cell with nobody who takes part."""
    return AttackResults([CellFigures(cell, 1, 0).row() for cell in cells_of(spec)], {})


def take_out(lists: torch.Tensor, removed: torch.Tensor) -> torch.Tensor:
    """Close the gaps that items removed[m, C] leave in lists[m, at least K + C]; returns [m, at most K]."""
    gone = (lists[:, :, None] == removed[:, None, :]).any(2)
    kept = lists.masked_fill(gone, 0).gather(1, gone.int().argsort(dim=1, stable=True))
    return kept[:, :LIST_LENGTH]


def run_attacks(
    scorer: Scorer,
    split: Split,
    spec: TrainSpec,
    *,
    max_length: int,
    phase: EvaluationPhase = "test",
    tick: Tick | None = None,
) -> AttackResults:
    """Run the attack grid of `spec` on every evaluation user.

    max_length is the window that places are taken from: the same for every scorer of a comparison. Cells by
    `gradient` need a DifferentiableScorer; with another nobody takes part in them. `tick` is called after
    every pass over a block. Raises NonFiniteScoresError, and whatever `tick` raises.
    """
    histories = Histories(*split.histories(phase))
    attack = _Attack(scorer, split, spec, np.minimum(histories.lengths, max_length), phase)
    figures = [CellFigures(cell, cell.repeats(spec), len(histories)) for cell in cells_of(spec)]
    rounds = [(one, repeat) for one in figures for repeat in range(one.repeats)]
    longest = LIST_LENGTH + max(spec.attack_counts, default=0)
    done = 0
    for rows in blocks(histories, max_length, split.n_items):
        block = attack.clean(histories.take(rows), rows, longest)
        for one, repeat in rounds:
            attack.run(one, repeat, block)
            done += len(rows)
            if tick is not None:
                tick(done / (len(histories) * len(rounds)))
    per_user = {
        f"{one.cell.label}.{name}": values for one in figures for name, values in one.finish().items()
    }
    return AttackResults([one.row() for one in figures], per_user)


@dataclass
class _Block:
    """A block's users with their real histories, ranked: lists [n, K + most replacements], ranks [n]."""

    rows: Int64
    histories: Histories
    ranking: Ranking
    lists: torch.Tensor
    ranks: torch.Tensor
    worst: WorstItems | None = None


@dataclass(frozen=True)
class _Part:
    """The users of a block that take part in a cell: `at` int64[m] in the block, `rows` int64[m] of all."""

    block: _Block
    at: Int64
    rows: Int64
    histories: Histories
    targets: Int64


class _Attack:
    """What stays the same over blocks and cells."""

    def __init__(
        self, scorer: Scorer, split: Split, spec: TrainSpec, windows: Int64, phase: EvaluationPhase
    ) -> None:
        self.scorer, self.split, self.spec, self.phase = scorer, split, spec, phase
        self.differentiable = scorer if isinstance(scorer, DifferentiableScorer) else None
        self.windows = windows
        self.users, self.targets = split.users(phase), split.targets(phase).astype(np.int64)
        self.cold = split.misses(phase)
        self.replacements = Replacements(split.item_counts)
        self.shuffle: torch.Tensor | None = None

    @cached_property
    def effects(self) -> HistoryEffects:
        return HistoryEffects(self.split, self.spec, self.phase)

    @cached_property
    def neighbours(self) -> Neighbours:
        return Neighbours(self.split)

    def clean(self, histories: Histories, rows: Int64, length: int) -> _Block:
        """Rank the block's real histories, with lists long enough to lose every replacement."""
        ranking = self.rank(histories, histories, rows)
        return _Block(rows, histories, ranking, ranking.lists(length), ranking.ranks())

    def run(self, figures: CellFigures, repeat: int, block: _Block) -> None:
        """Add one repeat of one cell for the users of a block."""
        cell = figures.cell
        if self.split.n_items < 3 or (cell.replacement == "gradient" and self.differentiable is None):
            return  # no item is left to put in, or nothing to differentiate
        at = np.flatnonzero(self.windows[block.rows] > cell.count)
        rows = block.rows[at]
        if not len(rows):
            return
        part = _Part(block, at, rows, block.histories.take(at), self.targets[rows])
        key = DrawKey(self.spec.attack_seed, repeat)
        places = self.places(cell, key, part)
        new = self.new_items(cell, key, part, places)
        on_device = torch.from_numpy(at).to(block.lists.device)
        lists, ranks = block.lists[on_device], block.ranks[on_device]
        if self.spec.exclude_seen:
            removed = torch.from_numpy(new).to(lists.device)
            lists = take_out(lists, removed)
            ranks = ranks - block.ranking.ahead(on_device, removed).sum(1)
        lists = lists[:, :LIST_LENGTH]
        attacked_lists, attacked_ranks = self.attacked(part, places, new, (lists, ranks))
        outcomes = Outcomes(
            clean_lists=lists.cpu().numpy(),
            clean_ranks=ranks.cpu().numpy(),
            lists=attacked_lists.cpu().numpy(),
            ranks=attacked_ranks.cpu().numpy(),
            cold=self.cold[rows],
        )
        figures.add(rows, outcomes)

    def attacked(
        self, part: _Part, places: Int64, new: Int64, clean: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Lists [m, K] and ranks [m] with items `new` at `places`; the clean ones where nothing is read."""
        lists, ranks = clean
        # A scorer that does not read the replaced places gives the same scores, hence the same list.
        touched = np.flatnonzero((places < self.scorer.reads).any(axis=1))
        if len(touched):
            seen = part.histories.take(touched)
            read = seen.replaced(places[touched], new[touched])
            ranking = self.rank(read, seen, part.rows[touched], new[touched])
            at = torch.from_numpy(touched).to(lists.device)
            lists, ranks = lists.clone(), ranks.clone()
            lists[at], ranks[at] = ranking.lists(), ranking.ranks()
        return lists, ranks

    def places(self, cell: Cell, key: DrawKey, part: _Part) -> Int64:
        """int64[m, C]: the places to replace, counted from the end."""
        windows = self.windows[part.rows]
        if cell.position == "highest_cascade":
            return self.effects.highest(part.histories, windows, cell.count, part.rows)
        return attacked_places(cell.position, cell.count, self.users[part.rows], windows, key)

    def new_items(self, cell: Cell, key: DrawKey, part: _Part, places: Int64) -> Int64:
        """int64[m, C]: the items to put in; a random one where there is no nearest or worst."""
        targets, histories = part.targets, part.histories
        originals = histories.items[histories.offsets[1:, None] - 1 - places].astype(np.int64)
        kind: Replacement = "popularity" if cell.replacement == "popularity" else "uniform"
        drawn = self.replacements.draw(
            kind, key, users=self.users[part.rows], places=places, originals=originals, targets=targets
        )
        if cell.replacement == "nearest":
            chosen = self.neighbours.nearest(histories, originals, targets)
            return np.where(chosen > 0, chosen, drawn)
        if cell.replacement == "gradient" and self.differentiable is not None:
            block = part.block
            if block.worst is None:
                block.worst = WorstItems.of(self.differentiable, block.histories, self.targets[block.rows])
            chosen = block.worst.choose(part.at, histories, places, targets)
            return np.where(chosen > 0, chosen, drawn)
        return drawn

    def rank(self, read: Histories, seen: Histories, rows: Int64, new: Int64 | None = None) -> Ranking:
        """Rank by the scores of histories `read`; all of `seen` and `new` are no candidates."""
        scores = self.scorer(read)
        if self.shuffle is None:
            self.shuffle = catalogue_shuffle(self.split.n_items, scores.device)
        return rank_block(
            scores,
            self.shuffle,
            self.targets[rows],
            seen,
            exclude_seen=self.spec.exclude_seen,
            also_excluded=new,
        )
