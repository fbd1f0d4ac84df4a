"""Which of several trainings is taken: the steadiest of those that are accurate enough, on validation.

A job's search for a share and the study choose by the same rule; what the study froze rests on it, down to
whom it prefers of equals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar


class Tried(Protocol):
    """A training's NDCG@10 on validation."""

    @property
    def clean(self) -> float:
        """Of the histories as they are."""

    @property
    def attacked(self) -> float | None:
        """With the last item replaced; None where nobody could be attacked."""


TriedT = TypeVar("TriedT", bound=Tried)


def steadiest(trials: Sequence[TriedT], *, least: float, prefer: Callable[[TriedT], Any]) -> TriedT | None:
    """Return the one with the highest attacked NDCG@10 of those with at least `least` clean, if there is any.

    Of equals the more accurate one, then the one with the largest `prefer`.
    """
    accurate = [trial for trial in trials if trial.clean >= least]
    return max(accurate, key=lambda trial: (trial.attacked or 0.0, trial.clean, prefer(trial)), default=None)


def most_accurate(trials: Sequence[TriedT], *, prefer: Callable[[TriedT], Any]) -> TriedT:
    """Return the one with the highest clean NDCG@10; of equals the steadier one, then as above."""
    return max(trials, key=lambda trial: (trial.clean, trial.attacked or 0.0, prefer(trial)))


def choose(
    trials: Sequence[TriedT], *, standard: float, floor: float, prefer: Callable[[TriedT], Any]
) -> TriedT:
    """Return the steadiest with at least `floor` · `standard` clean; where there is none, the most accurate.

    standard: clean NDCG@10 of the arm without perturbation; trials: at least one.
    """
    found = steadiest(trials, least=floor * standard, prefer=prefer)
    return found if found is not None else most_accurate(trials, prefer=prefer)
