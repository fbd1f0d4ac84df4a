"""Which setting of an arm is taken: decided on validation figures, by one rule for all arms.

Of equals the one with the larger key, so that it is the figures' choice whatever order the runs finished in.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.study.records import Record
from worker.training import choosing


def choose(trials: Sequence[Record], standard: Record, clean_share: float) -> Record | None:
    """Return the trial with the highest validation NDCG@10 under attack (the last item replaced).

    Only trials whose clean validation NDCG@10 is at least `clean_share` of standard's are asked. Where there
    is none, the one with the highest clean figure is taken. None when every trial diverged.
    """
    sound = _sound(trials)
    return choosing.choose(sound, standard=standard.clean, floor=clean_share, prefer=_key) if sound else None


def steadiest(trials: Sequence[Record], standard: Record, clean_share: float) -> Record | None:
    """Return the trial that `choose` takes where one is accurate enough; else None."""
    return choosing.steadiest(_sound(trials), least=clean_share * standard.clean, prefer=_key)


def most_accurate(trials: Sequence[Record]) -> Record | None:
    """Return the trial with the highest clean validation NDCG@10."""
    sound = _sound(trials)
    return choosing.most_accurate(sound, prefer=_key) if sound else None


def _sound(trials: Sequence[Record]) -> list[Record]:
    return [trial for trial in trials if trial.error is None]


def _key(trial: Record) -> str:
    return trial.key
