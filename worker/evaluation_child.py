"""The measuring process: `python -m worker.evaluation_child <evaluation> <attempt> <parent's pid>`.

It begins, ends and speaks with its parent as the training process does, and writes its own result.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from app.config import get_settings
from app.evaluations.life import NEEDS_MEMORY, EvaluationClaim
from app.jobs.claims import Claim
from worker.child import Wishes, end_of, live_as_child
from worker.pipe import End, Upward
from worker.resources import open_resources


def evaluate(claimed: Claim, upward: Upward, wishes: Wishes) -> End:
    """Make the attempt; every way to end is an `End`."""
    # Here and not above: what listens to the parent must not wait for torch.
    from worker.evaluation_run import run_evaluation  # noqa: PLC0415

    resources = open_resources(get_settings(), sends=False)
    try:
        with tempfile.TemporaryDirectory(prefix="steadyrank-") as folder:
            run_evaluation(
                EvaluationClaim(claimed.job_id, claimed.attempt),
                resources=resources,
                folder=Path(folder),
                beat=upward.beat,
                control=lambda: wishes.control,
            )
    except Exception as error:
        return end_of(error, "evaluation", needs_memory=NEEDS_MEMORY)
    finally:
        resources.database.dispose()
    logging.getLogger(__name__).info("evaluation %s succeeded", claimed.job_id)
    return End("succeeded")


def main(evaluation_id: str, attempt: str, parent: str) -> NoReturn:
    """Measure, say how it ended, and leave without waiting for any thread."""
    live_as_child("evaluation", Claim(evaluation_id, int(attempt)), parent, evaluate)


if __name__ == "__main__":
    main(*sys.argv[1:])
