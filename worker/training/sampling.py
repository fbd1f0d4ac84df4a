"""Negative items: uniform over the catalogue, never one that the user has in training.

Drawn exactly, with no rejection loop: of a user's V − s unseen items draw the k-th (0-based), and look up
which one it is. Let the user's seen items be a_0 < a_1 < … < a_{s−1} (numbers from 1). Before a_j stand
g_j = a_j − 1 − j unseen items, and g never falls. So the k-th unseen item is k + 1 + #{j : g_j ≤ k}: one
binary search for all positions of a batch over keys user·(V + 1) + g, on any device, without a sync and in
bounded time.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from worker.training.batching import Batch, Windows
from worker.training.data import Sequences


class NegativeSampler:
    """Draws one negative for each position of a batch of `windows`, which were cut from `train`.

    saturated_users: how many users have seen the whole catalogue. Nothing is a negative for them; they are
    given any item, seen or not, and a caller should say so.
    """

    def __init__(self, train: Sequences, windows: Windows, device: torch.device | str = "cpu") -> None:
        stride = train.n_items + 1
        owner = np.repeat(np.arange(train.n_users, dtype=np.int64), train.lengths)
        seen = np.unique(owner * stride + train.items)
        owner, item = seen // stride, seen % stride
        count = np.bincount(owner, minlength=train.n_users).astype(np.int64)
        saturated = count >= train.n_items
        self.saturated_users = int(saturated.sum())
        # Without an entry, all V items count as unseen.
        kept = ~saturated[owner]
        owner, item = owner[kept], item[kept]
        count[saturated] = 0
        first = np.cumsum(count) - count
        nth = np.arange(len(owner), dtype=np.int64) - first[owner]
        self._keys = torch.from_numpy(owner * stride + item - 1 - nth).to(device)
        self._stride = stride
        self._window_base = torch.from_numpy(windows.user * stride).to(device)
        self._window_first = torch.from_numpy(first[windows.user]).to(device)
        self._window_unseen = torch.from_numpy(train.n_items - count[windows.user]).to(device)

    def draw(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return neg_BL: int64 item numbers, 0 on padding. All randomness comes from `generator`."""
        device = self._keys.device
        window_B = batch.window_B.to(device)
        unseen_B1 = self._window_unseen[window_B][:, None]
        # float64: 53 random bits leave no item of any catalogue without its share.
        u_BL = torch.rand(batch.x_BL.shape, dtype=torch.float64, generator=generator, device=generator.device)
        k_BL = torch.minimum((u_BL.to(device) * unseen_B1).long(), unseen_B1 - 1)
        found_BL = torch.searchsorted(self._keys, self._window_base[window_B][:, None] + k_BL, right=True)
        neg_BL = k_BL + 1 + found_BL - self._window_first[window_B][:, None]
        return neg_BL * batch.m_BL.to(device)
