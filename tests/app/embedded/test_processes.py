from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.embedded import processes
from app.embedded.datafolder import held, make
from app.embedded.errors import StartError
from app.embedded.processes import ProcessSpec, setpriv, start, stop, wait_ready


def shell(folder: Path, script: str, name: str = "child", **more: object) -> ProcessSpec:
    return ProcessSpec(name, ["sh", "-c", script], folder / f"{name}.log", folder, **more)  # type: ignore[arg-type]


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 10
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"{path} was never written"
        time.sleep(0.01)
    return path.read_text().strip()


def test_a_child_has_its_variables_its_folder_and_its_log(tmp_path: Path) -> None:
    process = start(shell(tmp_path, "echo $GIVEN; pwd; echo oops >&2", environment={"GIVEN": "yes"}))
    assert process.wait(30) == 0
    assert (tmp_path / "child.log").read_text().splitlines() == ["yes", str(tmp_path), "oops"]


def test_stopping_sends_the_signal_that_the_child_wants(tmp_path: Path) -> None:
    spec = shell(
        tmp_path,
        "trap 'echo INT > got; exit 0' INT; echo > up; while :; do sleep 0.05; done",
        stop_signal=signal.SIGINT,
    )
    process = start(spec)
    wait_for(tmp_path / "up")
    stop([(spec, process)])
    assert (tmp_path / "got").read_text() == "INT\n"
    assert process.returncode == 0


def test_a_child_that_does_not_obey_is_killed_with_all_its_children(tmp_path: Path) -> None:
    folder = make(tmp_path / "data")
    spec = shell(tmp_path, "trap '' TERM; sleep 1000 & echo > up; wait; sleep 1000", stop_seconds=0.2)
    with held(folder) as hold:
        process = start(spec, keep_open=[hold.processes])
        wait_for(tmp_path / "up")
        stop([(spec, process)])
    assert process.returncode == -signal.SIGKILL
    # both inherited the lock: it is free only when both are gone
    with held(folder, patience=5.0):
        pass


def test_waiting_ends_with_the_reason_when_the_child_ends(tmp_path: Path) -> None:
    spec = shell(tmp_path, "echo 'no such relation'; exit 4", ready=lambda: False)
    process = start(spec)
    with pytest.raises(StartError, match=r"exit 4(.|\n)*no such relation"):
        wait_ready(spec, process, seconds=10.0)


def test_waiting_ends_in_time_or_when_nobody_waits_any_more(tmp_path: Path) -> None:
    spec = shell(tmp_path, "sleep 1000", ready=lambda: False)
    process = start(spec)
    try:
        with pytest.raises(StartError, match="did not answer within"):
            wait_ready(spec, process, seconds=0.05)
        wait_ready(spec, process, seconds=60.0, cancelled=lambda: True)
    finally:
        stop([(spec, process)])


KILLED = """
import os, signal, sys, time
from pathlib import Path
from app.embedded.datafolder import held
from app.embedded.processes import ProcessSpec, start
folder = Path(sys.argv[1])
with held(folder) as hold:
    for name in ("one", "two"):
        script = f"touch {name}; exec sleep 1000"
        start(ProcessSpec(name, ["sh", "-c", script], folder / "log", folder), keep_open=[hold.processes])
    while not ((folder / "one").exists() and (folder / "two").exists()):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_children_die_with_a_killed_parent_and_free_its_folder(tmp_path: Path) -> None:
    if setpriv() is None:
        pytest.skip("only Linux with util-linux ties a child's life to its parent's")
    folder = make(tmp_path / "data")
    parent = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False)
    assert parent.returncode == -signal.SIGKILL
    with held(folder, patience=5.0):
        pass


def test_killing_the_group_of_a_process_long_gone_is_harmless(tmp_path: Path) -> None:
    process = start(shell(tmp_path, "exit 0"))
    process.wait()
    processes.kill_group(process)
    assert os.getpid()
