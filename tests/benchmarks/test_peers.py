"""Peers are installed without CUDA, read one data file, and their targets are counted the same way."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import compare
from benchmarks.peers.data import write_data
from benchmarks.peers.environments import (
    PEERS,
    RUNNERS,
    CudaBuildError,
    InstallationError,
    call,
    clean_environment,
    refuse_cuda_build,
    refuse_cuda_requirements,
)
from worker.training.data.sequences import Sequences


@pytest.fixture(scope="module")
def measuring() -> ModuleType:
    spec = importlib.util.spec_from_file_location("measuring", RUNNERS / "measuring.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["measuring"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def log_of(lengths: list[int], items: int) -> Sequences:
    rng = np.random.default_rng(0)
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    drawn = rng.integers(1, items + 1, offsets[-1]).astype(np.int32)
    users = [str(user) for user in range(len(lengths))]
    return Sequences(users, [str(item) for item in range(items)], offsets, drawn)


def report_of(*requirements: str) -> dict[str, Any]:
    metadata = {"name": "torch", "version": "2.13.0", "requires_dist": list(requirements)}
    return {"install": [{"metadata": metadata}]}


def test_a_torch_that_asks_for_cuda_is_refused_before_it_is_downloaded() -> None:
    refuse_cuda_requirements(report_of("filelock", "sympy>=1.13"))
    with pytest.raises(CudaBuildError, match=r"nvidia-cublas.*Nothing was downloaded"):
        refuse_cuda_requirements(report_of("filelock", "nvidia-cublas==13.0; platform_system == 'Linux'"))


def test_an_installed_cuda_build_is_refused() -> None:
    refuse_cuda_build("2.13.0+cpu", None)
    with pytest.raises(CudaBuildError, match=r"2\.13\.0 is a build for CUDA 13\.0"):
        refuse_cuda_build("2.13.0", "13.0")


def test_a_peer_sees_neither_our_packages_nor_more_than_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    environment = clean_environment()
    assert "PYTHONPATH" not in environment
    assert environment["OMP_NUM_THREADS"] == "1"
    assert int(environment["MALLOC_MMAP_THRESHOLD_"]) < int(environment["MALLOC_TRIM_THRESHOLD_"])


def test_a_failed_installation_says_what_failed() -> None:
    with pytest.raises(InstallationError, match=r"(?s)ended with 3.*no index in reach"):
        call([sys.executable, "-c", "import sys; print('no index in reach', file=sys.stderr); sys.exit(3)"])


def test_the_data_file_holds_the_split(tmp_path: Path, measuring: ModuleType) -> None:
    # The user with one interaction is left out, and the items with numbers of their own are closed up.
    log = log_of([3, 1, 9, 30], 40)
    write_data(log, tmp_path / "log.tsv")
    data = measuring.load(str(tmp_path / "log.tsv"))
    assert data.user.max() == 3
    assert np.array_equal(np.unique(data.item), np.arange(1, data.item.max() + 1))
    assert [int((data.part == part).sum()) for part in (0, 1, 2)] == [36, 3, 3]
    assert data.part[data.user == 1].tolist() == [0, 1, 2]


def test_the_warm_up_epoch_is_not_counted(measuring: ModuleType) -> None:
    assert measuring.Epochs([9.0, 1.0, 2.0]).counted == [1.0, 2.0]


def test_our_runner_measures_a_tiny_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(log_of([5, 6, 12, 20] * 5, 30), tmp_path / "log.tsv")
    monkeypatch.setitem(compare.SETTINGS, "width", 8)
    monkeypatch.setitem(compare.SETTINGS, "batch", 4)
    ours = RUNNERS / "run_ours.py"
    found = compare.run(Path(sys.executable), ours, tmp_path / "log.tsv", 2, 60)
    assert found["targets_per_epoch"] == 5 * (2 + 3 + 9 + 17)
    assert len(found["epochs_cpu_seconds"]) == 2
    assert found["evaluated_users"] == 20
    assert set(found["metrics"]) == {"hr@10", "ndcg@10"}


def test_a_runner_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    runner = tmp_path / "run_broken.py"
    runner.write_text("raise SystemExit('no such data')")
    with pytest.raises(compare.RunnerError, match=r"(?s)run_broken.py ended with 1.*no such data"):
        compare.run(Path(sys.executable), runner, tmp_path / "log.tsv", 1, 60)
    with pytest.raises(compare.RunnerError, match="no result"):
        compare.last_result("Seed set to 0\n")


def test_ratios_are_of_the_same_run() -> None:
    one = {
        "library": "SteadyRank",
        "version": "1",
        "loss": "BCE",
        "targets_per_epoch": 100,
        "evaluation_cpu_seconds": 1.0,
        "training_peak_megabytes": 10,
        "peak_megabytes": 11,
        "notes": [],
    }
    ours = compare.merged(
        [
            {**one, "epochs_cpu_seconds": [1.0, 2.0]},
            {**one, "epochs_cpu_seconds": [2.0], "training_peak_megabytes": 12},
        ]
    )
    assert ours["targets_per_cpu_second"] == 50
    assert ours["training_peak_megabytes"] == 12
    peer = {**one, "library": "Other", "epoch_cpu_seconds": 10.0, "targets_per_cpu_second": 10}
    peer["evaluation_cpu_seconds"] = 4.0
    skipped = compare.Skipped("Third", "not installed: no index\nmore")
    lines = compare.table([ours, peer, skipped]).splitlines()
    assert "| 5.0 × |" in lines[3]
    assert "| 1/4.0 |" in lines[3]
    assert "skipped: not installed: no index |" in lines[4]


def test_a_peer_out_of_reach_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = tmp_path / "run_ours.py"
    names = ("evaluation_cpu_seconds", "training_peak_megabytes", "peak_megabytes", "targets_per_epoch")
    figures = {**dict.fromkeys(names, 1), "epochs_cpu_seconds": [1.0]}
    runner.write_text(f"import json; print(json.dumps({figures!r}))")

    def unreachable(_: object) -> Path:
        raise InstallationError("pip ended with 1:\nNo matching distribution found")

    monkeypatch.setattr(compare, "RUNNERS", tmp_path)
    monkeypatch.setattr(compare, "ready", unreachable)
    first, skipped = compare.compare(tmp_path / "log.tsv", ["recbole"], 1, 60)
    assert isinstance(first, dict)
    assert skipped == compare.Skipped("RecBole 1.2.1", "not installed: No matching distribution found")


@pytest.mark.parametrize(("peer", "taken"), [("rectools", False), ("replay", False), ("recbole", True)])
def test_a_peer_that_trained_on_other_targets_is_refused(
    peer: str, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("evaluation_cpu_seconds", "training_peak_megabytes", "peak_megabytes")
    figures = {**dict.fromkeys(names, 1), "epochs_cpu_seconds": [1.0]}

    def run(python: Path, runner: Path, *_: object) -> dict[str, Any]:
        return {**figures, "targets_per_epoch": 9_000 if runner.name == "run_ours.py" else 9_001}

    monkeypatch.setattr(compare, "run", run)
    monkeypatch.setattr(compare, "ready", lambda _: Path(sys.executable))
    _, found = compare.compare(tmp_path / "log.tsv", [peer], 1, 60)
    assert isinstance(found, dict) is taken
    assert taken or "9,001 targets an epoch where ours has 9,000" in found.reason


def test_every_peer_has_its_runner() -> None:
    assert all(peer.runner.exists() for peer in PEERS.values())
    assert json.loads(json.dumps(compare.SETTINGS)) == compare.SETTINGS
