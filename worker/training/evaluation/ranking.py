"""From a block of scores to ranks and top-k lists, without a sort of the catalogue.

Ties are broken by one fixed shuffle of the catalogue: among items of equal score, the one that comes first
in the shuffle ranks first. A mere count of higher scores would call a constant model perfect.

Shape letters: n rows (users) of the block, V items, K list length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from worker.training.progress import TrainingError

LIST_LENGTH = 10
_CHUNK = 64
_COUNTED_ROWS = 32
_LANES = 255
"""64-bit words of eight one-byte flags that may be added before a byte could overflow."""
_SHUFFLE_SEED = 20230405
_NEVER = -torch.inf


class NonFiniteScoresError(TrainingError):
    """A scorer returned NaN or an infinity: its ranking would mean nothing."""

    code = "diverged"
    hint = "The model diverged. Lower learning_rate, epsilon_history or epsilon_match, or set clip_norm to 1."


def catalogue_shuffle(n_items: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """int64[V+1]: each item's place in the fixed shuffle of the catalogue; the padding's place is last."""
    places = np.random.default_rng(_SHUFFLE_SEED).permutation(n_items)
    return torch.from_numpy(np.append(n_items, places)).to(device)


@dataclass(frozen=True)
class Ranking:
    """The candidates' scores of a block, ready to be asked for ranks and lists.

    scores [n, V+1], minus infinity at every item that is no candidate; places int64[V+1] of
    `catalogue_shuffle`; targets int64[n].
    """

    scores: torch.Tensor
    places: torch.Tensor
    targets: torch.Tensor

    @classmethod
    def among_candidates(
        cls,
        scores: torch.Tensor,
        places: torch.Tensor,
        targets: torch.Tensor,
        excluded_rows: torch.Tensor,
        excluded_items: torch.Tensor,
    ) -> Ranking:
        """Leave the excluded (row, item) pairs and the padding out of `scores`, in place.

        The target always stays a candidate, even where it is among the excluded (a user may come back to an
        earlier item). Raises NonFiniteScoresError.
        """
        scores[:, 0] = 0.0
        if scores.numel():
            low, high = torch.aminmax(scores)
            if not (torch.isfinite(low) and torch.isfinite(high)):
                raise NonFiniteScoresError("a score is NaN or infinite, so the items cannot be ranked")
        target_scores = scores.gather(1, targets[:, None])
        scores[:, 0] = _NEVER
        scores[excluded_rows, excluded_items] = _NEVER
        scores.scatter_(1, targets[:, None], target_scores)
        return cls(scores, places, targets)

    @property
    def target_scores(self) -> torch.Tensor:
        """[n, 1]: taken from the same product as all the others."""
        return self.scores.gather(1, self.targets[:, None])

    def ranks(self) -> torch.Tensor:
        """int64[n]: candidates before the target, 0-based."""
        above, reached = counts(self.scores, self.target_scores)
        tied_too = reached - above > 1
        if tied_too.any():
            above[tied_too] += self.before(tied_too)
        return above

    def ahead(self, rows: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """bool[m, C]: is items[m, C] a candidate before the target of row rows[m]? Twice the same: once."""
        scores, limit = self.scores[rows[:, None], items], self.target_scores[rows]
        first = self.places[items] < self.places[self.targets[rows]][:, None]
        again = (items[:, :, None] == items[:, None, :]).tril(-1).any(2)
        return ((scores > limit) | ((scores == limit) & first)) & ~again

    def before(self, rows: torch.Tensor) -> torch.Tensor:
        """int64: for the rows of this mask, candidates of equal score that the shuffle puts first."""
        equal = self.scores[rows] == self.target_scores[rows]
        return (equal & (self.places < self.places[self.targets[rows]][:, None])).sum(1)

    def lists(self, k: int = LIST_LENGTH) -> torch.Tensor:
        """int64[n, k]: the k first candidates in order of rank; 0 where there are fewer.

        Cut to k = V where the catalogue is smaller.
        """
        k = min(k, self.scores.shape[1] - 1)
        values, items = largest(self.scores, k + 1)
        crossing = (values[:, k - 1] == values[:, k]) & (values[:, k - 1] > _NEVER)
        if crossing.any():
            # A tie reaches over the list's end, where topk takes any of the tied.
            items[crossing, :k] = self._first_of_tied(crossing, values[crossing, k - 1 : k], k)
        values, items = self.scores.gather(1, items[:, :k]), items[:, :k]
        by_place = self.places[items].argsort(1)
        values, items = values.gather(1, by_place), items.gather(1, by_place)
        by_score = values.argsort(dim=1, descending=True, stable=True)
        items = items.gather(1, by_score)
        return items.masked_fill(values.gather(1, by_score) == _NEVER, 0)

    def _first_of_tied(self, rows: torch.Tensor, limit: torch.Tensor, k: int) -> torch.Tensor:
        """int64[m, k]: everything above the limit, then the tied by their place in the shuffle."""
        scores = self.scores[rows]
        key = (-self.places).to(torch.float64).expand_as(scores).masked_fill(scores < limit, _NEVER)
        return largest(key.masked_fill_(scores > limit, 1.0), k)[1]


def counts(scores: torch.Tensor, limit: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """int64[n] each: scores of a row of [n, V+1] above its limit [n, 1], and those that reach it."""
    if scores.device.type != "cpu" or not scores.shape[1]:
        return (scores > limit).sum(1), (scores >= limit).sum(1)
    # numpy compares several times as fast as torch. Flags are bytes and are added eight at a time, as words.
    n, width = scores.shape
    words = -(-width // 8)
    flags = np.zeros((min(n, _COUNTED_ROWS), words * 8), dtype=bool)
    begin = np.arange(0, words, _LANES)
    found = np.empty((2, n), dtype=np.int64)
    rows, limits = scores.numpy(), limit.numpy()
    for start in range(0, n, _COUNTED_ROWS):
        part = slice(start, start + _COUNTED_ROWS)
        here = flags[: len(rows[part])]
        for compare, into in zip((np.greater, np.greater_equal), found, strict=True):
            compare(rows[part], limits[part], out=here[:, :width])
            into[part] = np.add.reduceat(here.view(np.uint64), begin, axis=1).view(np.uint8).sum(1)
    above, reached = torch.from_numpy(found)
    return above, reached


def largest(scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and columns [n, k] of each row's k largest scores, in descending order; ties fall anyhow.

    The k largest lie in the k chunks of columns with the largest maxima, so that a long row is read once for
    the maxima and only those chunks are searched.
    """
    n, width = scores.shape
    n_chunks = width // _CHUNK
    if n_chunks < 8 * k:
        values, columns = torch.topk(scores, k)
        return values, columns
    chunks = scores[:, : n_chunks * _CHUNK].view(n, n_chunks, _CHUNK)
    best = torch.topk(chunks.amax(2), k, sorted=False).indices
    offsets = torch.arange(_CHUNK, device=scores.device)
    tail = torch.arange(n_chunks * _CHUNK, width, device=scores.device).expand(n, -1)
    columns = torch.cat([(best[:, :, None] * _CHUNK + offsets).flatten(1), tail], 1)
    values, at = torch.topk(scores.gather(1, columns), k)
    return values, columns.gather(1, at)
