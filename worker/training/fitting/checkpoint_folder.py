"""A CheckpointStore in a folder, for `steadyrank train` and notebooks: one file a checkpoint."""

from __future__ import annotations

import os
import re
from pathlib import Path

from worker.training.progress import CheckpointKey, CheckpointKind

KEPT = 2
"""Payloads kept of each (kind, seed, arm): the newest, and the one before it should the newest be damaged."""

_NAME = re.compile(
    r"(?P<kind>\w+)-(?P<arm>[\w.-]+)-seed(?P<seed>\d+)-epoch(?P<epoch>\d+)-step(?P<step>\d+)\.safetensors"
)


class FolderCheckpoints:
    """Checkpoints as ``<kind>-<arm>-seed<n>-epoch<n>-step<n>.safetensors`` in one folder.

    A file is written beside its name, synced and then renamed, so that a crash leaves the older one whole.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, key: CheckpointKey, payload: bytes) -> None:
        """Write the payload durably, then forget all but the two newest of its kind."""
        name = f"{key.kind}-{key.arm}-seed{key.seed}-epoch{key.epoch:06d}-step{key.step:010d}.safetensors"
        partial = self._folder / f".{name}.partial"
        with partial.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._folder / name)
        for path in self._paths(key.kind, key.seed, key.arm)[KEPT:]:
            path.unlink()

    def load(self, kind: CheckpointKind, seed: int, arm: str) -> list[tuple[CheckpointKey, bytes]]:
        """Newest first."""
        loaded = []
        for path in self._paths(kind, seed, arm):
            match = _NAME.fullmatch(path.name)
            assert match is not None, path  # noqa: S101 - _paths lists nothing else
            key = CheckpointKey(kind, seed, arm, int(match["epoch"]), int(match["step"]))
            loaded.append((key, path.read_bytes()))
        return loaded

    def discard(self, kind: CheckpointKind, seed: int, arm: str) -> None:
        """Delete the files."""
        for path in self._paths(kind, seed, arm):
            path.unlink()

    def _paths(self, kind: str, seed: int, arm: str) -> list[Path]:
        pattern = f"{kind}-{arm}-seed{seed}-epoch*.safetensors"
        return sorted((p for p in self._folder.glob(pattern) if _NAME.fullmatch(p.name)), reverse=True)
