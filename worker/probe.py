"""A probe by a measuring worker: a process that trains a few steps, within a time limit.

This process imports no torch. A probe is tried once: whatever goes wrong is written down for who waits.
"""

from __future__ import annotations

import logging
import threading
import time

from app.jobs.claims import Claim
from app.jobs.probes import claim, fail
from worker.child_process import ChildProcess
from worker.resources import Resources

logger = logging.getLogger(__name__)

CHILD = "worker.probe_child"
LIMIT_SECONDS = 60.0
"""After which a probe is ended: others wait for the worker, too."""

_TICK_SECONDS = 0.1


def probe_job(probe_id: str, *, resources: Resources, stopping: threading.Event) -> None:
    """Make a probe; does nothing when it does not wait."""
    with resources.database.unit_of_work() as session:
        claimed = claim(session, probe_id)
    if not claimed:
        logger.info("probe %s does not wait", probe_id)
        return
    process = ChildProcess(resources.settings, Claim(probe_id, 1), module=CHILD)
    deadline = time.monotonic() + LIMIT_SECONDS
    try:
        while process.wait(_TICK_SECONDS) is None:
            if stopping.is_set() or time.monotonic() >= deadline:
                break
    finally:
        code = process.kill()
    end = process.end
    if end is not None and end.kind == "succeeded":
        return
    if end is not None and end.message:
        why, message = end.code or "internal", end.message
    elif stopping.is_set():
        why, message = "worker_lost", "The worker that made the probe shut down."
    elif time.monotonic() >= deadline:
        why, message = "probe_too_long", f"The probe took longer than {LIMIT_SECONDS:.0f} seconds."
    else:
        why, message = "worker_lost", f"The probe's process ended without a word (exit code {code})."
    logger.warning("probe %s failed: %s", probe_id, message)
    with resources.database.unit_of_work() as session:
        fail(session, probe_id, code=why, message=message)
