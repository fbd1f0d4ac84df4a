"""Random draws that are counted by what they are for, not by how many came before.

A generator's stream goes on from batch to batch, so one interaction fewer in the data moves every later draw.
`CountedDraws` hashes (seed, purpose, epoch, window, draw of the step, place in the window) instead: what one
window draws depends on no other window, nor on the batch it stands in. Rank-list stability needs this
(stability/); ordinary runs take torch's generators.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from worker.training.seeding import derive_seed

UInt64 = npt.NDArray[np.uint64]

_GAMMA = 0x9E3779B97F4A7C15
_AXIS_BITS = 16
"""Places along an axis are told apart up to 65,536, and three axes fit beside each other."""


def mix64(state: UInt64) -> UInt64:
    """One step of SplitMix64 (Steele, Lea, Flood 2014); arrays only, whose arithmetic wraps silently."""
    state = state + np.uint64(_GAMMA)
    state ^= state >> np.uint64(30)
    state *= np.uint64(0xBF58476D1CE4E5B9)
    state ^= state >> np.uint64(27)
    state *= np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    return state


class CountedDraws:
    """Stands where a torch.Generator may; all its draws are a function of `at`'s arguments and their order.

    The first axis of whatever is drawn is the batch's rows; the others count places in a row, so a wider
    padding adds draws and changes none.
    """

    def __init__(self, seed: int, *names: str) -> None:
        self._base = derive_seed(seed, *names)
        self._rows: UInt64 = np.empty(0, dtype=np.uint64)
        self._draw = 0

    def at(self, epoch: int, windows: npt.NDArray[np.integer]) -> None:
        """Begin a step: rows are these windows [B] of the epoch, the next draw is the first of the step."""
        of_epoch = mix64(np.array([self._base], dtype=np.uint64) + np.uint64(epoch))
        self._rows = mix64(of_epoch + windows.astype(np.uint64))
        self._draw = 0

    def words(self, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
        """64 well-mixed bits for each element of `shape` [B, …], at most three axes behind the first."""
        if shape[0] != len(self._rows):
            raise ValueError(f"{shape[0]} rows are drawn for, and the step has {len(self._rows)}")
        place: UInt64 = np.zeros(1, dtype=np.uint64)
        for size in shape[1:]:
            along = np.arange(size, dtype=np.uint64)
            place = np.asarray((place[..., None] << np.uint64(_AXIS_BITS)) + along, dtype=np.uint64)
        place = place.reshape(shape[1:]) * np.uint64(_GAMMA)
        rows = mix64(self._rows + np.uint64(self._draw))
        self._draw += 1
        return mix64(rows.reshape(-1, *(1 for _ in shape[1:])) + place).view(np.int64)

    def lanes(self, shape: tuple[int, ...]) -> npt.NDArray[np.int16]:
        """16 bits for each element of `shape`: a word for every four along the last axis."""
        words = self.words((*shape[:-1], -(-shape[-1] // 4)))
        return words.view(np.int16)[..., : shape[-1]]

    def get_state(self) -> Tensor:
        """Nothing is to be kept: uint8[0]."""
        return torch.zeros(0, dtype=torch.uint8)

    def set_state(self, state: Tensor) -> None:
        """Take what `get_state` gave. Raises ValueError for a generator's state."""
        if state.numel():
            raise ValueError("counted draws have no state, and one was given")


Draws = torch.Generator | CountedDraws


def uniform(shape: tuple[int, ...], draws: Draws) -> Tensor:
    """float64 in [0, 1), of `shape` [B, …]; 53 random bits leave no item of a catalogue without its share."""
    if isinstance(draws, CountedDraws):
        bits = draws.words(shape).view(np.uint64) >> np.uint64(11)
        return torch.from_numpy(bits.astype(np.float64) * 2.0**-53)
    return torch.rand(shape, dtype=torch.float64, generator=draws, device=draws.device)
