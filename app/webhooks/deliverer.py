"""Sends what is due: threads of the reaper's process, or `python -m app.webhooks.deliverer` alone.

Any number of processes may run: deliveries are claimed with SKIP LOCKED and a lease (deliveries.py). No
message wakes them: the outbox is looked at every `webhook_poll_seconds`, so there is none to lose.
"""

from __future__ import annotations

import logging
import threading
import time
from importlib.metadata import version

from sqlalchemy.exc import SQLAlchemyError

import app.db.tables  # noqa: F401 - foreign keys by name need every table
from app.config import Settings, get_settings
from app.db.session import AWAY, Database
from app.log_lines import configure_logging
from app.stop_signals import stop_event
from app.webhooks.deliveries import Claim, claim_due, settle
from app.webhooks.sending import post
from app.webhooks.signing import signed_headers

logger = logging.getLogger(__name__)


class Deliverer:
    """Looks for due deliveries in one thread, and sends each in a thread of its own.

    Args:
        database: Where the outbox is; every transaction here is short.
        settings: The service's.

    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._slots = threading.Semaphore(settings.webhook_concurrency)
        self._stopped = threading.Event()
        self._look_again = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin; nothing is done where no delivery may be sent at once."""
        if self._settings.webhook_concurrency:
            self._thread.start()

    def stop(self) -> None:
        """Claim nothing more. What is being sent may be cut off: it is sent again after its lease."""
        self._stopped.set()
        self._look_again.set()
        self._slots.release()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def claim(self) -> Claim | None:
        """Take what is due next; None when nothing is, or the database is away."""
        try:
            with self._database.unit_of_work() as session:
                return claim_due(session, self._settings)
        except AWAY as error:
            logger.warning("could not look for webhooks: %s", error)
            return None
        except SQLAlchemyError:
            logger.exception("could not look for webhooks")
            return None

    def deliver(self, claimed: Claim) -> None:
        """Send it, and write down what came of it; a database that is away leaves it to the lease."""
        timestamp = int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": f"SteadyRank-Webhooks/{version('steadyrank')}",
            **signed_headers(claimed.secrets, claimed.event_id, timestamp, claimed.body),
        }
        outcome = post(
            claimed.url,
            headers,
            claimed.body,
            timeout=self._settings.webhook_timeout_seconds,
            allow_private=self._settings.webhook_allow_private,
        )
        try:
            with self._database.unit_of_work() as session:
                if not settle(session, claimed, outcome, self._settings):
                    logger.info("webhook %s is no longer attempt %d's", claimed.delivery_id, claimed.attempt)
        except SQLAlchemyError as error:
            logger.warning("webhook %s was sent and will be sent again: %s", claimed.delivery_id, error)

    def _run(self) -> None:
        while True:
            self._slots.acquire()
            if self._stopped.is_set():
                return
            self._look_again.clear()
            claimed = self.claim()
            if claimed is None:
                self._slots.release()
                self._look_again.wait(self._settings.webhook_poll_seconds)
                continue
            threading.Thread(target=self._deliver_in_slot, args=(claimed,), daemon=True).start()

    def _deliver_in_slot(self, claimed: Claim) -> None:
        try:
            self.deliver(claimed)
        finally:
            self._slots.release()
            self._look_again.set()  # its endpoint may have more


def main() -> None:
    """Deliver until SIGTERM or SIGINT."""
    settings = get_settings()
    configure_logging(settings)
    stopped = stop_event()
    database = Database(settings.database, pool_size=2 + settings.webhook_concurrency)
    deliverer = Deliverer(database, settings)
    deliverer.start()
    logger.info("webhooks are looked for every %.1f s", settings.webhook_poll_seconds)
    stopped.wait()
    deliverer.stop()
    database.dispose()


if __name__ == "__main__":
    main()
