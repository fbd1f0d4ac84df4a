"""What one worker process is made of, made once: settings, database, blobs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import app.db.tables  # noqa: F401 - foreign keys by name need every table
from app.config import Settings, get_settings
from app.db.session import Database, Sender
from app.storage.blobs import BlobStore
from app.storage.database import DatabaseBlobStore


@dataclass(frozen=True)
class Resources:
    """The settings of a process, and its ways to the rows and to the bytes."""

    settings: Settings
    database: Database
    blobs: BlobStore


def open_resources(settings: Settings, *, sends: bool = True, pool_size: int = 3) -> Resources:
    """Connect lazily. A process that never wakes another one (`sends=False`) needs no broker."""
    database = Database(settings.database, sender=_queue(settings) if sends else None, pool_size=pool_size)
    return Resources(settings, database, DatabaseBlobStore(database.engine))


def _queue(settings: Settings) -> Sender:
    from app.queue import CeleryQueue, make_celery  # noqa: PLC0415 - Celery only where something is sent

    return CeleryQueue(make_celery(settings))


@lru_cache(maxsize=1)
def process_resources() -> Resources:
    """Those of this process, by its environment."""
    return open_resources(get_settings())
