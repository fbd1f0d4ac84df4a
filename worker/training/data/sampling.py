"""Items drawn at random in training: negatives, and what a history's items are replaced by.

Both are drawn exactly, with no rejection loop, from whole-numbered item weights (all 1, or training counts),
on any device, without a sync and in bounded time. All items that are out of the question are cut out of the
cumulative weights: a draw falls into what is left, and a binary search says which item that is.

For negatives: let a user's seen items be a_0 < a_1 < …, and g_j the weight of all unseen items before a_j,
which never falls. A draw m lies behind the c seen items with g_j ≤ m, so it is the item at m + Σ_{j<c}
weight(a_j): one binary search for all positions of a batch over the keys user · (total + 1) + g, and, where
weights differ, one more for the item.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from worker.training.data.batching import Batch, Windows
from worker.training.data.sequences import Int64, Sequences
from worker.training.draws import CountedDraws, Draws, uniform
from worker.training.settings import Replacement


def item_weights(items: npt.NDArray[np.integer], n_items: int, kind: Replacement) -> Int64:
    """int64[V+1]: what items 1 … V are drawn in proportion to; 0 for padding.

    items: all training interactions, flat. `uniform` gives 1 each, `popularity` how often they occur.
    """
    if kind == "uniform":
        return np.minimum(np.arange(n_items + 1, dtype=np.int64), 1)
    return np.bincount(items, minlength=n_items + 1).astype(np.int64)


class NegativeSampler:
    """Draws negatives for a batch of `windows`, which were cut from `train`: never an item its user has seen.

    weights: of `item_weights`, None = uniform. shared: 0 draws one negative for each position; k draws k for
    each window, which all its positions share. saturated_users: how many users have seen every item that
    weighs anything. Nothing is a negative for them; they are given any item, and a caller should say so.
    """

    def __init__(
        self,
        train: Sequences,
        windows: Windows,
        device: torch.device | str = "cpu",
        *,
        weights: Int64 | None = None,
        shared: int = 0,
    ) -> None:
        self._shared = shared
        if weights is None:
            weights = item_weights(train.items, train.n_items, "uniform")
        cumulative = np.cumsum(weights)
        total = int(cumulative[-1])
        owner = np.repeat(np.arange(train.n_users, dtype=np.int64), train.lengths)
        # numpy's unique hashes, which takes twenty times as long as sorting on millions of distinct numbers.
        seen = np.sort(owner * (train.n_items + 1) + train.items)
        seen = seen[np.append(True, seen[1:] != seen[:-1])]
        owner, item = seen // (train.n_items + 1), seen % (train.n_items + 1)
        weight = np.bincount(owner, weights=weights[item], minlength=train.n_users).astype(np.int64)
        saturated = weight >= total
        self.saturated_users = int(saturated.sum())
        # Without an entry, all items count as unseen.
        kept = ~saturated[owner]
        owner, item = owner[kept], item[kept]
        weight[saturated] = 0
        first = np.searchsorted(owner, np.arange(train.n_users))
        before = np.zeros(len(item) + 1, dtype=np.int64)
        np.cumsum(weights[item], out=before[1:])
        unseen_before = cumulative[item - 1] - (before[:-1] - before[first[owner]])

        def tensor(array: Int64) -> Tensor:
            return torch.from_numpy(array).to(device)

        self._keys = tensor(owner * (total + 1) + unseen_before)
        self._before = tensor(before)
        self._cumulative = None if total == train.n_items and weights[1:].all() else tensor(cumulative)
        self._window_base = tensor(windows.user * (total + 1))
        self._window_skipped = tensor(before[first[windows.user]])
        self._window_unseen = tensor(total - weight[windows.user])

    def draw(self, batch: Batch, generator: Draws) -> Tensor:
        """Return int64 item numbers: [N], one for each real position in row-major order, or [B, k] if shared.

        All randomness comes from `generator`.
        """
        shape = (len(batch.x_BL), self._shared) if self._shared else batch.x_BL.shape
        u = uniform(tuple(shape), generator)
        window = batch.window_B.to(self._keys.device)[:, None].expand(shape)
        u = u.to(self._keys.device)
        if not self._shared:
            m_BL = batch.m_BL.to(self._keys.device)
            u, window = u[m_BL], window[m_BL]
        unseen = self._window_unseen[window]
        drawn = torch.minimum((u * unseen).long(), unseen - 1)
        behind = torch.searchsorted(self._keys, self._window_base[window] + drawn, right=True)
        drawn += self._before[behind] - self._window_skipped[window]
        if self._cumulative is None:
            return drawn + 1
        return torch.searchsorted(self._cumulative, drawn, right=True)


class HistoryReplacer:
    """Replaces items of histories, each with probability min(1, share · w / mean of w over its window).

    So `share` of a window's items on average (less where the bound at 1 bites), and rather those that weigh
    more. weights: of `item_weights`; an item is never replaced by itself.
    """

    def __init__(self, weights: Int64, share: float) -> None:
        self._share = share
        self._weights = torch.from_numpy(weights)
        self._cumulative = torch.from_numpy(np.cumsum(weights))

    def draw(self, batch: Batch, generator: Draws) -> Tensor:
        """Return x_BL with some items replaced, on the host. All randomness comes from `generator`."""
        x_BL = batch.x_BL
        u_BL, v_BL = uniform(tuple(x_BL.shape), generator), uniform(tuple(x_BL.shape), generator)
        chosen_BL = _chosen(batch, u_BL, self._share)
        x_N = x_BL[chosen_BL]
        own_N = self._weights[x_N]
        left_N = self._cumulative[-1] - own_N
        drawn_N = torch.minimum((v_BL[chosen_BL] * left_N).long(), left_N - 1)
        drawn_N += own_N * (drawn_N >= self._cumulative[x_N - 1])
        other_N = torch.searchsorted(self._cumulative, drawn_N, right=True)
        # With nothing else to draw, an item stays.
        return x_BL.masked_scatter(chosen_BL, torch.where(left_N > 0, other_N, x_N))


class Candidates(NamedTuple):
    """chosen_BL: bool, the inputs to be replaced or moved; item_BC: int64, what by or where to, by window."""

    chosen_BL: Tensor
    item_BC: Tensor


class CandidateReplacer:
    """Chooses what of a history is replaced as `HistoryReplacer` does, and draws `count` items of 1 … n_items
    alike for each window, the worst of which the step will put in (adversary/replacement.py).

    share: None chooses every input, and draws nothing for it.
    """

    def __init__(self, n_items: int, count: int, share: float | None) -> None:
        self._n_items = n_items
        self._count = count
        self._share = share

    def draw(self, batch: Batch, generator: Draws) -> Candidates:
        """Draw for a batch, on the host. All randomness comes from `generator`."""
        chosen_BL = batch.m_BL
        if self._share is not None:
            chosen_BL = _chosen(batch, uniform(tuple(batch.x_BL.shape), generator), self._share)
        shape = (len(batch.x_BL), self._count)
        if isinstance(generator, CountedDraws):
            item_BC = (uniform(shape, generator) * self._n_items).long() + 1
        else:
            item_BC = torch.randint(1, self._n_items + 1, shape, generator=generator)
        return Candidates(chosen_BL, item_BC)


def _chosen(batch: Batch, u_BL: Tensor, share: float) -> Tensor:
    """Bool: the inputs where u, uniform in [0, 1), falls below share · w / mean of w over the window."""
    w_BL = batch.w_BL.double()
    mean_B = w_BL.sum(1) / batch.length_B
    return batch.m_BL & (u_BL < share * w_BL / mean_B[:, None])
