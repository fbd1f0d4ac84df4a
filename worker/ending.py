"""From how a training process ended to what becomes of the job."""

from __future__ import annotations

import signal

from sqlalchemy.orm import Session

from app.jobs.claims import Claim, hold, job_error, lose_attempt, release
from app.jobs.life import Status, move
from worker.hints import NEEDS_MEMORY
from worker.pipe import End
from worker.watch import Asked

_LOST_HINT = "Nothing needs to be done; the worker's log says more."


def settle(session: Session, claimed: Claim, *, end: End | None, asked: Asked, code: int) -> None:
    """Move the job as its attempt's end demands.

    Args:
        session: One transaction.
        claimed: The attempt.
        end: The process's own last word, if it had one.
        asked: What the parent asked of it.
        code: Its exit code; negative is the signal that killed it.

    Raises:
        LeaseLost: The attempt is over already: it succeeded, or another worker has the job.

    """
    job = hold(session, claimed)
    if asked is Asked.LEASE_LOST or (end is not None and end.kind == "succeeded"):
        return
    if job.cancel_requested:
        move(session, job, Status.CANCELLED, message="The job was cancelled while it ran.")
    elif end is not None and end.kind == "error":
        error = job_error(job, code=end.code, message=end.message, hint=end.hint, retryable=end.retryable)
        move(session, job, Status.FAILED, message=end.message, level="error", error=error)
    elif end is not None and end.kind == "unavailable":
        lose_attempt(session, job, code="worker_lost", message=end.message, hint=_LOST_HINT)
    elif job.status == Status.PAUSING:
        saved = (
            "its progress is saved"
            if end is not None and end.saved
            else "it goes on from its last checkpoint"
        )
        move(session, job, Status.PAUSED, message=f"The job is paused; {saved}.")
    elif asked is Asked.RUNTIME:
        message = "The job ran for longer than it may, and measuring what was trained took too long."
        hint = (
            "What was trained is saved: POST …/retry measures it. Else ask for fewer attacks, arms or seeds."
        )
        error = job_error(job, code="max_runtime_exceeded", message=message, hint=hint, retryable=True)
        move(session, job, Status.FAILED, message=message, level="error", error=error)
    elif asked is Asked.SHUTDOWN or (end is not None and end.kind == "stopped"):
        saved = "from a fresh checkpoint" if end is not None and end.saved else "from its last checkpoint"
        release(session, claimed, message=f"The worker shut down; the job is queued and goes on {saved}.")
    elif asked is Asked.HUNG:
        message = f"Training made no step for too long in phase {job.phase} and was ended."
        lose_attempt(session, job, code="worker_lost", message=message, hint=_LOST_HINT)
    elif asked is Asked.FAULT:
        message = "The worker met a fault of its own while the job ran, and ended it."
        lose_attempt(session, job, code="internal", message=message, hint=_LOST_HINT)
    elif code == -signal.SIGKILL:
        message = "The training process was killed from outside, most likely for memory."
        lose_attempt(session, job, code="out_of_memory", message=message, hint=NEEDS_MEMORY)
    else:
        message = f"The training process ended without a word ({_in_words(code)})."
        lose_attempt(session, job, code="internal", message=message, hint=_LOST_HINT)


def _in_words(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
