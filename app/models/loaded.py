"""Models that `recommend` keeps in memory: the most recently used ones, up to a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from worker.training.portable import PortableModel

LARGEST_CACHE_BYTES = 512 * 1024 * 1024


class LoadedModels:
    """A cache of loaded models by id, shared by request threads. A model never changes once it is stored."""

    def __init__(self, largest_bytes: int = LARGEST_CACHE_BYTES) -> None:
        self._largest_bytes = largest_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[PortableModel, int]] = OrderedDict()
        self._loading: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        """By model, the lock of who loads it; it goes with the last who has it or waits for it."""

    def get(self, model_id: str) -> PortableModel | None:
        """The model, if it is in memory."""
        with self._lock:
            if model_id not in self._kept:
                return None
            self._kept.move_to_end(model_id)
            return self._kept[model_id][0]

    def load(self, model_id: str, files: Mapping[str, bytes]) -> PortableModel:
        """Load a model from its files, and keep it; those used longest ago go. ModelUnreadableError."""
        from worker.training.portable import load_model  # noqa: PLC0415 - numpy only where it is used

        model = load_model(files)
        size = sum(map(len, files.values()))
        with self._lock:
            self._kept[model_id] = (model, size)
            self._kept.move_to_end(model_id)
            while sum(kept for _, kept in self._kept.values()) > self._largest_bytes and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return model

    @contextmanager
    def loading(self, model_id: str) -> Iterator[None]:
        """Be the only one who loads this model: of many who ask for a cold one, one reads its files."""
        with self._lock:
            own = self._loading.setdefault(model_id, threading.Lock())
        with own:
            yield

    def forget(self, model_id: str) -> None:
        """Free a deleted model's memory."""
        with self._lock:
            self._kept.pop(model_id, None)
