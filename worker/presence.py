"""A worker process shows that it is alive, so that the service can say 'no worker is alive'."""

from __future__ import annotations

import json
import logging
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from app.db.models.worker import Worker
from app.jobs.workers import SEEN_EVERY_SECONDS
from app.task_names import TRAIN_QUEUE
from worker.resources import Resources

logger = logging.getLogger(__name__)

_PROBE_SECONDS = 120.0

_PROBE = (
    "import json, torch; cuda = torch.cuda.is_available(); print(json.dumps({"
    "'torch': torch.__version__, 'device': torch.cuda.get_device_name() if cuda else 'cpu'}))"
)


class Presence:
    """One row for each queue that the process serves, touched by a thread until the process leaves."""

    def __init__(self, resources: Resources, *, node: str, queues: Sequence[str]) -> None:
        self._resources = resources
        self._node = node
        self._queues = tuple(queues)
        self._device: str | None = None
        self._versions: dict[str, Any] = {
            "python": platform.python_version(),
            "steadyrank": version("steadyrank"),
        }
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._stay, name="presence", daemon=True)

    def start(self) -> None:
        """Show up, and stay."""
        self._thread.start()

    def stop(self) -> None:
        """Leave: the rows go."""
        self._left.set()
        self._thread.join(5.0)
        try:
            with self._resources.database.unit_of_work() as session:
                session.execute(delete(Worker).where(Worker.id.in_([self._id(q) for q in self._queues])))
        except SQLAlchemyError as error:
            logger.warning("could not sign off; the rows will look old soon: %s", error)

    def touch(self) -> None:
        """Be seen now."""
        with self._resources.database.unit_of_work() as session:
            for queue in self._queues:
                statement = insert(Worker).values(
                    id=self._id(queue), queue=queue, device=self._device, versions=self._versions
                )
                session.execute(
                    statement.on_conflict_do_update(
                        index_elements=["id"],
                        set_={
                            "seen_at": func.clock_timestamp(),
                            "device": statement.excluded.device,
                            "versions": statement.excluded.versions,
                        },
                    )
                )

    def _id(self, queue: str) -> str:
        return f"{self._node}/{queue}"

    def _answer(self, command: list[str]) -> str:
        """What a command prints; while it runs, which on a cold disk takes its time, this worker is seen."""
        deadline = time.monotonic() + _PROBE_SECONDS
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            while True:
                try:
                    printed, said = process.communicate(timeout=SEEN_EVERY_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    if self._left.is_set() or time.monotonic() > deadline:
                        process.kill()
                        raise
                    self._be_seen()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command, printed, said)
        return printed

    def _be_seen(self) -> None:
        try:
            self.touch()
        except SQLAlchemyError as error:
            logger.warning("could not be seen: %s", error)

    def _stay(self) -> None:
        probed = TRAIN_QUEUE not in self._queues
        while True:
            self._be_seen()
            if not probed:
                probed = True
                self._probe()
                continue
            if self._left.wait(SEEN_EVERY_SECONDS):
                return

    def _probe(self) -> None:
        """Ask a short-lived process for the device: this one never imports torch."""
        try:
            found = json.loads(self._answer([sys.executable, "-P", "-c", _PROBE]))
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            if self._left.is_set():
                return
            said = getattr(error, "stderr", None) or error
            logger.error("torch cannot be imported here, so no job can be trained: %s", said)
            return
        self._versions["torch"] = found["torch"]
        wanted = self._resources.settings.device
        self._device = found["device"] if wanted == "auto" else wanted
