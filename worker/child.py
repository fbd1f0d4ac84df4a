"""The training process: `python -m worker.child <job> <attempt> <parent's pid>`.

It writes its own progress, checkpoints and results, each conditional on the attempt; it dies with its parent.
The measuring and the probing process begin and end by the same code. Of a worker's processes only
these three load torch.
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from sqlalchemy.exc import OperationalError

from app.config import get_settings
from app.errors import BlobDamagedError
from app.jobs.claims import Claim, LeaseLost
from app.log_lines import configure_logging, working_at
from worker.hints import DAMAGED, NEEDS_MEMORY
from worker.pipe import CONCLUDE, FINISH, SAVE_AND_STOP, STOP, End, Upward
from worker.resources import open_resources
from worker.training.progress import Control, Stopped, TrainingError

logger = logging.getLogger(__name__)

EXIT_ORPHANED = 3
EXIT_FAILED = 4
_PR_SET_PDEATHSIG = 1
_LONGEST_MESSAGE = 2000
_OUR_FAULT = "This is a fault of the service; its log has the traceback under the id of this {what}."


_WORDS = {
    STOP: Control.STOP,
    SAVE_AND_STOP: Control.SAVE_AND_STOP,
    FINISH: Control.FINISH,
    CONCLUDE: Control.CONCLUDE,
}


class Wishes:
    """What the parent wants of this run; heard by a thread, read at every step."""

    def __init__(self) -> None:
        self.control = Control.CONTINUE

    def listen(self) -> None:
        """Hear stdin from now on. Its end means that the parent is gone: leave at once, whatever runs."""
        threading.Thread(target=self._hear, name="stdin", daemon=True).start()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the parent too, which decides
        signal.signal(signal.SIGTERM, lambda *_: self._wish(Control.SAVE_AND_STOP))

    def _hear(self) -> None:
        for line in sys.stdin:
            self._wish(_WORDS[line.strip()])
        os._exit(EXIT_ORPHANED)

    def _wish(self, control: Control) -> None:
        if self.control is not Control.STOP:
            self.control = control


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies (Linux; elsewhere the end of stdin does it)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(EXIT_ORPHANED)


def take_stdout() -> Upward:
    """Keep the pipe to the parent for ourselves; whatever prints goes to standard error."""
    own = os.dup(1)
    os.set_inheritable(own, False)
    os.dup2(2, 1)
    return Upward(own)


def train(claimed: Claim, upward: Upward, wishes: Wishes) -> End:
    """Run the job; every way to end is an `End`."""
    # Here and not above: what listens to the parent must not wait for torch.
    from worker.training_run import run_training  # noqa: PLC0415

    resources = open_resources(get_settings(), sends=False)
    try:
        with tempfile.TemporaryDirectory(prefix="steadyrank-") as folder:
            run_training(
                claimed,
                resources=resources,
                folder=Path(folder),
                beat=upward.beat,
                control=lambda: wishes.control,
                found=upward.environment,
            )
    except Exception as error:
        return end_of(error, "job", needs_memory=NEEDS_MEMORY)
    finally:
        resources.database.dispose()
    return End("succeeded")


def end_of(error: Exception, what: str, *, needs_memory: str) -> End:
    """How a process ended whose work, on `what`, raised this. needs_memory: what helps if that ran out."""
    from torch import OutOfMemoryError  # noqa: PLC0415 - loaded by now

    match error:
        case Stopped():
            end = End("stopped", saved=error.saved)
        case LeaseLost():
            end = End("lease_lost")
        case TrainingError():
            logger.warning("the %s cannot go on: %s", what, error)
            end = End("error", code=error.code, message=str(error), hint=error.hint)
        case BlobDamagedError():
            logger.exception("stored bytes are damaged")
            end = End("error", code=error.code, message=error.detail, hint=DAMAGED)
        case OperationalError():
            logger.exception("the database is away")
            end = End("unavailable", message=f"The {what}'s process could not reach the database.")
        case MemoryError() | OutOfMemoryError():
            end = _out_of_memory(error, what, needs_memory)
        case _ if "can't allocate memory" in str(error):  # what torch says of the CPU
            end = _out_of_memory(error, what, needs_memory)
        case _:
            logger.exception("the %s failed", what)
            message = f"The {what} failed: {type(error).__name__}: {error}"[:_LONGEST_MESSAGE]
            hint = _OUR_FAULT.format(what=what)
            end = End("error", code="internal", message=message, hint=hint, retryable=True)
    return end


def _out_of_memory(error: BaseException, what: str, needs_memory: str) -> End:
    logger.exception("out of memory")
    message = f"The {what} ran out of memory. {error}"[:_LONGEST_MESSAGE].strip()
    return End("error", code="out_of_memory", message=message, hint=needs_memory)


def live_as_child(
    what: str, claimed: Claim, parent: str, work: Callable[[Claim, Upward, Wishes], End]
) -> NoReturn:
    """Work, say how it ended, and leave without waiting for any thread.

    what: `job`, `evaluation` or `probe`; its id and the attempt stand on every log line.
    """
    die_with(int(parent))
    upward = take_stdout()
    configure_logging(get_settings())
    faulthandler.enable()
    ids: dict[str, str | int] = {f"{what}_id": claimed.job_id, "attempt": claimed.attempt}
    with working_at(**ids):
        wishes = Wishes()
        wishes.listen()
        end = work(claimed, upward, wishes)
    upward.end(end)
    logging.shutdown()
    sys.stderr.flush()
    os._exit(0 if end.kind in {"succeeded", "stopped", "lease_lost"} else EXIT_FAILED)


def main(job_id: str, attempt: str, parent: str) -> NoReturn:
    """Train."""
    live_as_child("job", Claim(job_id, int(attempt)), parent, train)


if __name__ == "__main__":
    main(*sys.argv[1:])
