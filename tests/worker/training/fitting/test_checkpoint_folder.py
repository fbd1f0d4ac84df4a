"""The folder keeps the two newest payloads of each kind, newest first, and nothing half-written."""

from pathlib import Path

import pytest

from worker.training.fitting.checkpoint_folder import FolderCheckpoints
from worker.training.progress import CheckpointKey, CheckpointStore, MemoryCheckpoints


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> CheckpointStore:
    return FolderCheckpoints(tmp_path) if request.param == "folder" else MemoryCheckpoints()


def test_the_two_newest_are_kept_newest_first(store: CheckpointStore) -> None:
    for step in (9, 100, 1000):
        store.save(CheckpointKey("progress", 0, "cascade", step // 9, step), str(step).encode())
    assert [(key.step, payload) for key, payload in store.load("progress", 0, "cascade")] == [
        (1000, b"1000"),
        (100, b"100"),
    ]


def test_seeds_arms_and_kinds_are_kept_apart(store: CheckpointStore) -> None:
    store.save(CheckpointKey("progress", 1, "standard", 1, 1), b"one")
    store.save(CheckpointKey("progress", 11, "standard", 1, 1), b"eleven")
    store.save(CheckpointKey("best", 1, "standard", 1, 1), b"best")
    assert [payload for _, payload in store.load("progress", 1, "standard")] == [b"one"]
    store.discard("progress", 1, "standard")
    assert store.load("progress", 1, "standard") == []
    assert [payload for _, payload in store.load("progress", 11, "standard")] == [b"eleven"]
    assert [payload for _, payload in store.load("best", 1, "standard")] == [b"best"]


def test_arms_at_shares_are_kept_apart(store: CheckpointStore) -> None:
    for name in ("cascade", "cascade_at_0.1", "cascade_at_0.15", "cascade_at_1e-05"):
        store.save(CheckpointKey("progress", 0, name, 1, 1), name.encode())
    assert [payload for _, payload in store.load("progress", 0, "cascade_at_0.1")] == [b"cascade_at_0.1"]
    assert [payload for _, payload in store.load("progress", 0, "cascade_at_1e-05")] == [b"cascade_at_1e-05"]
    store.discard("progress", 0, "cascade_at_0.1")
    assert store.load("progress", 0, "cascade_at_0.1") == []
    assert store.load("progress", 0, "cascade") != []


def test_a_half_written_file_is_not_a_checkpoint(tmp_path: Path) -> None:
    folder = FolderCheckpoints(tmp_path)
    (tmp_path / ".best-standard-seed0-epoch000001-step0000000001.safetensors.partial").write_bytes(b"half")
    assert folder.load("best", 0, "standard") == []


def test_a_new_store_on_the_folder_finds_what_was_saved(tmp_path: Path) -> None:
    key = CheckpointKey("best", 3, "cascade", 12, 345)
    FolderCheckpoints(tmp_path).save(key, b"payload")
    assert FolderCheckpoints(tmp_path).load("best", 3, "cascade") == [(key, b"payload")]
