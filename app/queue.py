"""The Celery application, and sending by task name.

A message is only a wake-up; the row in the database is the truth. So a broker that is down loses nothing: the
send is logged and the reaper sends again.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Protocol

from celery import Celery
from kombu.exceptions import OperationalError

from app.config import Settings
from app.db.session import Message
from app.task_names import (
    EVALUATE_MODEL,
    LIGHT_QUEUE,
    MEASURE_QUEUE,
    PROBE_JOB,
    RECOMMEND_BATCH,
    RUN_JOB,
    TRAIN_QUEUE,
    VALIDATE_DATASET,
)

_VISIBILITY_SECONDS = 30 * 24 * 3600
_SECONDS_AWAY = 5.0
"""A broker that did not take a message is left alone for so long: what waits is sent again anyway, and a
hundred rows whose messages each wait for it would hold up whoever sends them for minutes."""
_SEND_SECONDS, _WAIT_SECONDS = 2, 10
"""How long a broker may take to answer who sends, and who waits for messages."""
_PING_SECONDS = 2
"""A broker that takes longer to answer is as good as down; who asks for readiness waits no longer."""

logger = logging.getLogger(__name__)


class Queue(Protocol):
    """Where wake-ups go."""

    def send(self, message: Message) -> None:
        """Hand over one message; logs and returns when the broker is down."""

    def ping(self) -> None:
        """Raise an exception when the broker cannot be reached."""


def make_celery(settings: Settings, *, waits: bool = False) -> Celery:
    """The Celery application of a process that sends, or that waits for messages and adds tasks by name."""
    celery = Celery("steadyrank", broker=settings.broker, set_as_current=False)
    celery.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        # Never redeliver by time: a training job is longer than any timeout, and the reaper does it by lease.
        broker_transport_options={
            "visibility_timeout": _VISIBILITY_SECONDS,
            "socket_connect_timeout": 2,
            "socket_timeout": _WAIT_SECONDS if waits else _SEND_SECONDS,
        },
        broker_connection_retry_on_startup=True,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=LIGHT_QUEUE,
        task_routes={
            VALIDATE_DATASET: {"queue": LIGHT_QUEUE},
            RECOMMEND_BATCH: {"queue": LIGHT_QUEUE},
            EVALUATE_MODEL: {"queue": MEASURE_QUEUE},
            PROBE_JOB: {"queue": MEASURE_QUEUE},
            RUN_JOB: {"queue": TRAIN_QUEUE},
        },
        worker_hijack_root_logger=False,
        enable_utc=True,
    )
    return celery


class CeleryQueue:
    """The Queue over a Celery application."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery
        self._away_until = 0.0

    def send(self, message: Message) -> None:
        """Hand over one message. A broker that is down is logged; the reaper will send again."""
        if time.monotonic() < self._away_until:
            return
        retry: dict[str, Any] = {"max_retries": 1, "interval_start": 0.1, "interval_max": 0.2}
        try:
            self._celery.send_task(
                message.task_name, args=message.args, queue=message.queue, retry=True, retry_policy=retry
            )
        except (OperationalError, OSError) as error:
            self._away_until = time.monotonic() + _SECONDS_AWAY
            logger.warning(
                "broker unreachable, %s%s and what follows will be sent again: %s",
                message.task_name,
                message.args,
                error,
            )

    def ping(self) -> None:
        """Raise an exception when the broker cannot be reached; opens its own short connection."""
        patience = {"socket_timeout": _PING_SECONDS}
        with self._celery.connection_for_write(
            connect_timeout=_PING_SECONDS, transport_options=patience
        ) as connection:
            connection.ensure_connection(max_retries=0, timeout=_PING_SECONDS)
            connection.default_channel.client.ping()
