"""A finished arm's figures, kept beside its weights: a run that is taken up again need not measure it again.

They are added to the arm's `best` checkpoint. They belong to the whole data set, test targets included, which
the checkpoint's own identity (spec, training sequences, torch, threads) does not cover: hence `content`.
"""

from __future__ import annotations

from worker.training.fitting.checkpoint import pack
from worker.training.fitting.stored import Stored
from worker.training.progress import CheckpointStore
from worker.training.reporting.results import ArmResult

_FIGURES, _CONTENT = "figures", "content"


def read_result(stored: Stored, content: str) -> ArmResult | None:
    """Return what `keep_result` kept of a data set whose `content_hash` is `content`; None if nothing was."""
    figures = stored.state.get(_FIGURES)
    if figures is None or figures[_CONTENT] != content:
        return None
    try:
        return ArmResult.from_state(stored.tensors, figures["result"])
    except (KeyError, TypeError):  # of another version, which measured other things
        return None


def keep_result(checkpoints: CheckpointStore, stored: Stored, result: ArmResult, content: str) -> None:
    """Write the arm's checkpoint once more, with its figures."""
    per_user, figures = result.to_state()
    state = {**stored.state, _FIGURES: {_CONTENT: content, "result": figures}}
    checkpoints.save(stored.key, pack({**stored.tensors, **per_user}, state))
