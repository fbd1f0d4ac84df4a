"""A finished arm's figures, kept beside its weights: a run that is taken up again need not measure it again.

They are added to the arm's `best` checkpoint. They belong to the whole data set, test targets included, which
the checkpoint's own identity (spec, training sequences, torch, threads) does not cover: hence `content`.
"""

from __future__ import annotations

from typing import Any

from worker.training.fitting.checkpoint import pack, unpack
from worker.training.fitting.state import Weights
from worker.training.progress import CheckpointKey, CheckpointStore, CheckpointUnreadableError
from worker.training.reporting.results import ArmResult

_FIGURES, _CONTENT = "figures", "content"


def read_result(checkpoints: CheckpointStore, arm: str, seed: int, content: str) -> ArmResult | None:
    """Return what `keep_result` kept of a data set whose `content_hash` is `content`; None if nothing was.

    To be asked only when the checkpoint's identity has been checked, as `Trainer.train` does.
    """
    for _, tensors, state in _readable(checkpoints, arm, seed):
        figures = state.get(_FIGURES)
        if figures is not None and figures[_CONTENT] == content:
            try:
                return ArmResult.from_state(tensors, figures["result"])
            except (KeyError, TypeError):  # of another version, which measured other things
                return None
    return None


def keep_result(checkpoints: CheckpointStore, result: ArmResult, content: str) -> None:
    """Write the arm's checkpoint once more, with its figures."""
    for key, tensors, state in _readable(checkpoints, result.arm, result.seed):
        per_user, figures = result.to_state()
        state[_FIGURES] = {_CONTENT: content, "result": figures}
        checkpoints.save(key, pack({**tensors, **per_user}, state))
        return


def _readable(
    checkpoints: CheckpointStore, arm: str, seed: int
) -> list[tuple[CheckpointKey, Weights, dict[str, Any]]]:
    """Unpack the newest `best` payload that can be; [] when there is none."""
    for key, payload in checkpoints.load("best", seed, arm):
        try:
            return [(key, *unpack(payload))]
        except CheckpointUnreadableError:  # the trainer, which needs it more, has said so
            continue
    return []
