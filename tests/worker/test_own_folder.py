"""A worker's own folder: real processes, ended in every way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from worker.own_folder import remove_abandoned

WORKER = """
import sys, tempfile
from worker.own_folder import work_in_own_folder
work_in_own_folder()
folder = tempfile.mkdtemp()
open(folder + "/source", "w").write("an upload")
print(folder, flush=True)
sys.stdin.read()
"""


@contextmanager
def worker(temporary: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that works in its own folder until its standard input ends, and a folder that it has made."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    try:
        yield process, Path(process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


def test_it_goes_when_the_worker_ends(tmp_path: Path) -> None:
    with worker(tmp_path) as (process, made):
        assert made.parent.parent == tmp_path
        assert (made / "source").exists()
        process.communicate("", 20)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_workers_is_removed_by_the_next_and_a_living_ones_is_not(tmp_path: Path) -> None:
    with worker(tmp_path) as (living, of_living), worker(tmp_path) as (killed, of_killed):
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (of_killed / "source").exists()
        with worker(tmp_path) as (_, of_next):
            assert not of_killed.parent.exists()
            assert (of_living / "source").exists()
            assert (of_next / "source").exists()
        assert living.poll() is None


def test_what_is_not_a_workers_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    file, elsewhere = tmp_path / "steadyrank-worker-file", tmp_path / "elsewhere"
    file.touch()
    elsewhere.mkdir()
    link = tmp_path / "steadyrank-worker-link"
    link.symlink_to(elsewhere)
    beginning = tmp_path / ".steadyrank-worker-new"
    beginning.mkdir()
    remove_abandoned()
    assert all(path.exists() for path in (file, elsewhere, link, beginning))
