"""Shell completion: the script for each shell, and what it completes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.main import app


def asked(**environment: str) -> str:
    """What the installed command answers a shell that asks it."""
    program = shutil.which("steadyrank", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program is not None
    done = subprocess.run(
        [program], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell: str) -> None:
    assert "_STEADYRANK_COMPLETE" in asked(_STEADYRANK_COMPLETE=f"source_{shell}")


def test_commands_and_options_are_completed() -> None:
    def complete(words: str, at: int) -> list[str]:
        return asked(_STEADYRANK_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(at)).splitlines()

    assert complete("steadyrank pro", 1) == ["projects"]
    assert "submit" in complete("steadyrank jobs su", 2)
    assert "--scope" in complete("steadyrank keys create --sc", 3)
    assert {command.name for command in app.registered_groups} <= set(complete("steadyrank ", 1))
