"""Which items an attack replaces, and by what: draws that depend on nothing but their key.

Every draw is a hash of (seed, repeat, user number, place in the history, purpose), so that each arm, each
seed and each model meets the same attack, whatever other users or cells are run. A place is counted from the
end of the history, hence the attack on the last 5 items contains that on the last 2.

Shape letters: n users, C replaced places a user, V items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.training.data.sequences import Int64
from worker.training.draws import UInt64, mix64
from worker.training.settings import AttackPosition, Replacement

Float64 = npt.NDArray[np.float64]

_PLACES, _UNIFORM, _POPULARITY = 1, 2, 3
_PURPOSE: dict[Replacement, int] = {"uniform": _UNIFORM, "popularity": _POPULARITY}


@dataclass(frozen=True)
class DrawKey:
    """What all draws of one repeat of the attacks share."""

    seed: int
    repeat: int

    def hashed(self, purpose: int, users: Int64, places: Int64) -> UInt64:
        """64 well-mixed bits for each (user, place), broadcast over both."""
        state = np.zeros(1, dtype=np.uint64)
        for part in (self.seed, self.repeat, purpose, users, places):
            state = mix64(state + np.atleast_1d(np.asarray(part)).astype(np.uint64))
        return state


def attacked_places(
    position: AttackPosition, count: int, users: Int64, windows: Int64, key: DrawKey
) -> Int64:
    """int64[n, count]: the places to replace, counted from the end of each history (0 = the last item).

    `end` takes the last items, `start` the first of the window, `random` any of the window, all different.
    windows int64[n]: items of each history that the window shows, each at least `count`.
    """
    if position == "end":
        return np.broadcast_to(np.arange(count), (len(users), count))
    if position == "start":
        return windows[:, None] - 1 - np.arange(count)
    places = np.arange(windows.max(initial=count))
    order = key.hashed(_PLACES, users[:, None], places[None, :])
    order[places[None, :] >= windows[:, None]] = np.iinfo(np.uint64).max
    return np.argsort(order, axis=1, kind="stable")[:, :count]


class Replacements:
    """Draws the items to be put in: any item alike, or in proportion to training popularity.

    item_counts int64[V+1]: training popularity; index 0 is padding. Needs V >= 3: beside the target and the
    original there must be an item left.
    """

    def __init__(self, item_counts: Int64) -> None:
        alike = np.minimum(np.arange(len(item_counts)), 1)
        self._weights: dict[Replacement, Int64] = {"uniform": alike, "popularity": item_counts}

    def draw(
        self,
        kind: Replacement,
        key: DrawKey,
        *,
        users: Int64,
        places: Int64,
        originals: Int64,
        targets: Int64,
    ) -> Int64:
        """int64[n, C]: never the user's target, never the item that stands there already.

        users int64[n], places and originals int64[n, C], targets int64[n]. A popularity draw is uniform where
        no other item was ever seen in training.
        """
        bits = key.hashed(_PURPOSE[kind], users[:, None], places) >> np.uint64(11)
        fractions = bits.astype(np.float64) * 2.0**-53
        low = np.minimum(originals, targets[:, None])
        high = np.maximum(originals, targets[:, None])
        drawn, possible = _draw_excluding(self._weights[kind], fractions, low, high)
        if not possible.all():
            alike, _ = _draw_excluding(self._weights["uniform"], fractions, low, high)
            drawn = np.where(possible, drawn, alike)
        return drawn


def _draw_excluding(
    weights: Int64, fractions: Float64, low: Int64, high: Int64
) -> tuple[Int64, npt.NDArray[np.bool_]]:
    """Invert the distribution without items low <= high, exactly and without rejection.

    Returns the items and where any weight was left to draw from.
    """
    cumulative = np.cumsum(weights)
    weight_low = weights[low]
    weight_high = np.where(low == high, 0, weights[high])
    left = cumulative[-1] - weight_low - weight_high
    mass = np.minimum((fractions * left).astype(np.int64), left - 1)
    mass = mass + np.where(mass >= cumulative[low - 1], weight_low, 0)
    mass = mass + np.where(mass >= cumulative[high - 1], weight_high, 0)
    return np.searchsorted(cumulative, mass, side="right"), left > 0
