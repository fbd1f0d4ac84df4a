from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from worker.training import process_memory
from worker.training.process_memory import most_resident_bytes

MB = 2**20
SAY = "from worker.training.process_memory import most_resident_bytes; print(most_resident_bytes())"
FAT = f"import subprocess, sys; fat = b'x' * {200 * MB}; subprocess.run([sys.executable, '-c', {SAY!r}])"
THINNER = f"once = b'x' * {200 * MB}; del once; {SAY}"


@pytest.mark.skipif(not process_memory.STATUS.exists(), reason="what a process has had is told by /proc")
@pytest.mark.parametrize(("program", "least", "most"), [(FAT, 2, 100), (THINNER, 200, 300)])
def test_it_is_the_processs_own_and_what_was_let_go_still_counts(program: str, least: int, most: int) -> None:
    root = Path(process_memory.__file__).parents[2]
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root
    )
    assert least * MB < int(said.stdout) < most * MB


def test_where_there_is_no_proc_getrusage_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_memory, "STATUS", Path("/nowhere/status"))
    now = resource.getrusage(resource.RUSAGE_SELF)  # it may grow meanwhile
    monkeypatch.setattr("resource.getrusage", {resource.RUSAGE_SELF: now}.__getitem__)
    monkeypatch.setattr(process_memory.sys, "platform", "darwin")
    assert most_resident_bytes() == now.ru_maxrss
    monkeypatch.setattr(process_memory.sys, "platform", "freebsd")
    assert most_resident_bytes() == 1024 * now.ru_maxrss


def test_a_sandbox_whose_proc_does_not_say_it_is_asked_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmRSS:\t1 kB\n")
    monkeypatch.setattr(process_memory, "STATUS", status)
    assert most_resident_bytes() >= MB
