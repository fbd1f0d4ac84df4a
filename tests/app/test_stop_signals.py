from __future__ import annotations

import signal
import subprocess
import sys

import pytest

WHILE_IT_BEGINS_TO_WAIT = """
import signal
from app.stop_signals import stop_event

stopped = stop_event()
with stopped._cond:  # as `wait` does before it waits
    signal.raise_signal(signal.{name})
print(stopped.wait(30))
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_that_comes_within_the_wait_itself_is_heard(name: str) -> None:
    assert hasattr(signal, name)
    script = [sys.executable, "-c", WHILE_IT_BEGINS_TO_WAIT.format(name=name)]
    ended = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "True\n"), ended.stderr
