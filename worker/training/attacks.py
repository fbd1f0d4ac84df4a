"""Item replacement at test time: how much of a ranking survives when items of the history were others.

For every cell (position, count, replacement) the model ranks two histories of each user, the real one and
one with `count` items replaced, **among one candidate set**: all items less the original history and the
replacements (all items where seen ones are not excluded). Otherwise the attacked list could not show what
the clean list shows. Only users whose window is longer than the count take part.

The clean scores are computed once a block: a clean list that is long enough only has to lose the cell's
replacements. All figures are at 10, so that a target's rank is its place in the list of 10, and nothing else
of the catalogue has to be counted.

Shape letters: n users of a block, m of them taking part, C replaced places, K list length.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import numpy as np
import numpy.typing as npt
import torch

from worker.training.data import Int64
from worker.training.evaluate import Tick, blocks, rank_block
from worker.training.histories import Histories, Scorer
from worker.training.metrics import hit, list_agreement, ndcg, reciprocal_rank
from worker.training.ranking import LIST_LENGTH, catalogue_shuffle
from worker.training.replacement import DrawKey, Replacements, attacked_places
from worker.training.spec import AttackPosition, EvaluationSettings, Replacement
from worker.training.split import LeaveOneOut, Split

Float32 = npt.NDArray[np.float32]

_RANK_METRICS = {"hr@10": hit, "ndcg@10": ndcg, "mrr@10": reciprocal_rank}
_AGREEMENT = ("overlap", "jaccard", "rbo", "top1_changed")


@dataclass(frozen=True)
class Cell:
    """One attack: where, how many, by what."""

    position: AttackPosition
    count: int
    replacement: Replacement


@dataclass(frozen=True)
class AttackResults:
    """What the attacks found.

    rows: one a cell, {position, count, replacement, n (users taking part), "hr@10", "ndcg@10", "mrr@10",
    kept, overlap, jaccard, rbo, top1_changed, "clean_ndcg@10"}, each the mean over users of the mean over
    repeats; `kept` is attacked over clean NDCG@10 of the same users and candidates, None where the clean one
    is 0; with n = 0 all figures are None.
    per_user: float32[E] arrays "<position>.<count>.<replacement>.<metric>", rows in the order of the split's
    `eval_users`, NaN for users that take no part.
    """

    rows: list[dict[str, object]]
    per_user: dict[str, Float32] = field(repr=False)


def take_out(lists: torch.Tensor, removed: torch.Tensor) -> torch.Tensor:
    """Close the gaps that items removed[m, C] leave in lists[m, at least K + C]; returns [m, at most K]."""
    gone = (lists[:, :, None] == removed[:, None, :]).any(2)
    kept = lists.masked_fill(gone, 0).gather(1, gone.int().argsort(dim=1, stable=True))
    return kept[:, :LIST_LENGTH]


def ranks_in(lists: Int64, targets: Int64) -> Int64:
    """int64[m]: each target's 0-based place in its list [m, at most K], or K = 10 where it is not in it."""
    found = lists == targets[:, None]
    return np.where(found.any(axis=1), found.argmax(axis=1), LIST_LENGTH)


def cells_of(settings: EvaluationSettings) -> list[Cell]:
    """All cells of the attack grid, in the order they are reported."""
    return [
        Cell(*cell)
        for cell in product(settings.attack_positions, settings.attack_counts, settings.attack_replacements)
    ]


def run_attacks(
    scorer: Scorer,
    split: LeaveOneOut,
    settings: EvaluationSettings,
    *,
    max_length: int,
    phase: Split = "test",
    tick: Tick | None = None,
) -> AttackResults:
    """Run the grid of `settings` (a TrainSpec is one) on every evaluation user.

    max_length is the window that `start` and `random` draw from: the same for every scorer of a comparison.
    `tick` is called after every pass over a block. Raises NonFiniteScoresError, and whatever `tick` raises.
    """
    histories = Histories(*split.histories(phase))
    cells = cells_of(settings)
    attack = _Attack(scorer, split, settings, np.minimum(histories.lengths, max_length), phase)
    sums = {cell: _Sums(len(histories)) for cell in cells}
    rounds = list(product(cells, range(settings.attack_repeats)))
    done = 0
    for rows in blocks(histories, max_length, split.n_items):
        block = histories.take(rows)
        clean = attack.clean(block, rows, cells)
        for cell, repeat in rounds:
            attack.run(cell, repeat, block=block, rows=rows, clean=clean, sums=sums[cell])
            done += len(rows)
            if tick is not None:
                tick(done / (len(histories) * len(rounds)))
    results = AttackResults([], {})
    for cell in cells:
        sums[cell].report(cell, settings.attack_repeats, results)
    return results


class _Attack:
    """What stays the same over blocks and cells."""

    def __init__(
        self,
        scorer: Scorer,
        split: LeaveOneOut,
        settings: EvaluationSettings,
        windows: Int64,
        phase: Split,
    ) -> None:
        self.scorer, self.settings, self.windows = scorer, settings, windows
        self.users, self.targets = split.eval_users, split.targets(phase).astype(np.int64)
        self.n_items = split.n_items
        self.cold = split.item_counts[self.targets] == 0
        self.replacements = Replacements(split.item_counts)
        self.shuffle: torch.Tensor | None = None

    def clean(self, block: Histories, rows: Int64, cells: list[Cell]) -> torch.Tensor:
        """Lists for the block's real histories, long enough to lose every replacement."""
        return self._lists(block, rows, LIST_LENGTH + max((cell.count for cell in cells), default=0))

    def run(
        self, cell: Cell, repeat: int, *, block: Histories, rows: Int64, clean: torch.Tensor, sums: _Sums
    ) -> None:
        """Add one repeat of one cell for the users of a block, given the lists of `clean`."""
        enough = self.n_items > 2  # else no item is left to put in
        part = np.flatnonzero((self.windows[rows] > cell.count) & enough)
        rows = rows[part]
        if not len(rows):
            return
        block = block.take(part)
        key = DrawKey(self.settings.attack_seed, repeat)
        users, targets = self.users[rows], self.targets[rows]
        places = attacked_places(cell.position, cell.count, users, self.windows[rows], key)
        originals = block.items[block.offsets[1:, None] - 1 - places].astype(np.int64)
        new = self.replacements.draw(
            cell.replacement, key, users=users, places=places, originals=originals, targets=targets
        )
        clean = clean[torch.from_numpy(part).to(clean.device)]
        if self.settings.exclude_seen:
            clean = take_out(clean, torch.from_numpy(new).to(clean.device))
        attacked = clean = clean[:, :LIST_LENGTH]
        # A scorer that does not read the replaced places gives the same scores, hence the same list.
        touched = np.flatnonzero((places < self.scorer.reads).any(axis=1))
        if len(touched):
            lists = self._lists(
                block.take(touched), rows[touched], LIST_LENGTH, places=places[touched], new=new[touched]
            )
            attacked = clean.clone()
            attacked[torch.from_numpy(touched).to(clean.device)] = lists
        sums.add(rows, targets, self.cold[rows], clean.cpu().numpy(), attacked.cpu().numpy())

    def _lists(
        self,
        seen: Histories,
        rows: Int64,
        length: int,
        *,
        places: Int64 | None = None,
        new: Int64 | None = None,
    ) -> torch.Tensor:
        """Rank for these histories, with items `new` at `places` if given, and return lists [m, length]."""
        read = seen if places is None or new is None else seen.replaced(places, new)
        scores = self.scorer(read)
        if self.shuffle is None:
            self.shuffle = catalogue_shuffle(self.n_items, scores.device)
        exclude = self.settings.exclude_seen
        ranking = rank_block(
            scores, self.shuffle, self.targets[rows], seen, exclude_seen=exclude, also_excluded=new
        )
        return ranking.lists(length)


class _Sums:
    """Sums over repeats of every figure of one cell, a row an evaluation user."""

    def __init__(self, n_users: int) -> None:
        names = (*_RANK_METRICS, *_AGREEMENT, "clean_ndcg@10")
        self.by_user = {name: np.full(n_users, np.nan) for name in names}

    def add(
        self, rows: Int64, targets: Int64, cold: npt.NDArray[np.bool_], clean: Int64, attacked: Int64
    ) -> None:
        """Add one repeat of these users: their targets (where cold: a miss) and both lists [m, K]."""
        ranks, clean_ranks = (
            np.where(cold, LIST_LENGTH, ranks_in(lists, targets)) for lists in (attacked, clean)
        )
        found = {name: metric(ranks, LIST_LENGTH) for name, metric in _RANK_METRICS.items()}
        found["clean_ndcg@10"] = ndcg(clean_ranks, LIST_LENGTH)
        found |= list_agreement(clean, attacked)
        for name, values in found.items():
            before = self.by_user[name][rows]
            self.by_user[name][rows] = np.where(np.isnan(before), 0.0, before) + values

    def report(self, cell: Cell, repeats: int, results: AttackResults) -> None:
        """Append the cell's row and its users' means."""
        part = ~np.isnan(self.by_user["ndcg@10"])
        n = int(part.sum())
        row: dict[str, object] = {
            "position": cell.position,
            "count": cell.count,
            "replacement": cell.replacement,
            "n": n,
        }
        means = {
            name: float(sums[part].mean()) / repeats if n else None for name, sums in self.by_user.items()
        }
        attacked, clean = means["ndcg@10"], means["clean_ndcg@10"]
        results.rows.append(
            row | means | {"kept": attacked / clean if attacked is not None and clean else None}
        )
        for name in ("ndcg@10", "overlap"):
            label = f"{cell.position}.{cell.count}.{cell.replacement}.{name}"
            results.per_user[label] = (self.by_user[name] / repeats).astype(np.float32)
