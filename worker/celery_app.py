"""The Celery application of a worker process: `celery -A worker.celery_app worker -Q train` (light, measure).

Without `-Q` one process serves all queues, and then reading a data set waits behind training. The pool is
`solo`: one slot, in the main thread, because the training itself is a process of its own.
"""

from __future__ import annotations

import atexit
from typing import Any

from celery import Celery, signals
from kombu.entity import Exchange, Queue

from app.config import get_settings
from app.log_lines import configure_logging
from app.queue import make_celery
from app.task_names import QUEUES
from worker.own_folder import work_in_own_folder
from worker.presence import Presence
from worker.resources import process_resources
from worker.shutdown import stopping

app: Celery = make_celery(get_settings(), waits=True)
app.conf.update(
    imports=("worker.tasks",),
    worker_pool="solo",
    worker_concurrency=1,  # by default the cores, and then a busy worker takes messages that it cannot serve
    # as Celery makes them for senders, which know no more than the names
    task_queues=tuple(Queue(name, Exchange(name), name) for name in QUEUES),  # type: ignore[no-untyped-call]
)

_presence: list[Presence] = []


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def _log_as_the_service_does(**_: Any) -> None:
    configure_logging(get_settings())


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _show_up(sender: Any, **_: Any) -> None:
    work_in_own_folder()
    queues = [name for name in QUEUES if name in sender.app.amqp.queues.consume_from]
    presence = Presence(process_resources(), node=str(sender.hostname), queues=queues)
    presence.start()
    _presence.append(presence)
    atexit.register(_leave)


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _stop_what_runs(**_: Any) -> None:
    stopping.set()


@signals.worker_shutdown.connect  # type: ignore[untyped-decorator]
def _leave(**_: Any) -> None:
    # At exit too: an idle worker makes a cold shutdown of a remapped SIGTERM, and that sends no signal.
    while _presence:
        _presence.pop().stop()
