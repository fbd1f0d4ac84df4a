"""Which setting of an arm is taken: decided on validation figures, by one rule for all arms."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.study.records import Record


def choose(trials: Sequence[Record], standard: Record, clean_share: float) -> Record | None:
    """Return the trial with the highest validation NDCG@10 under attack (the last item replaced).

    Only trials whose clean validation NDCG@10 is at least `clean_share` of standard's are asked. Where there
    is none, the one with the highest clean figure is taken. None when every trial diverged.
    """
    sound = [trial for trial in trials if trial.error is None]
    if not sound:
        return None
    floor = clean_share * standard.clean
    accurate = [trial for trial in sound if trial.clean >= floor]
    # The key makes the choice one of the figures alone, whatever order the runs finished in.
    if accurate:
        return max(accurate, key=lambda trial: (trial.attacked, trial.key))
    return max(sound, key=lambda trial: (trial.clean, trial.key))


def most_accurate(trials: Sequence[Record]) -> Record | None:
    """Return the trial with the highest clean validation NDCG@10."""
    sound = [trial for trial in trials if trial.error is None]
    return max(sound, key=lambda trial: (trial.clean, trial.key)) if sound else None
