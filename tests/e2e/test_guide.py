"""docs/guide.md as a new user follows it: one real `steadyrank up`, and every block of the page in order.

Blocks marked `sh` run in one bash, those marked `python` in one interpreter, in the same folder; both keep
their variables. A command that fails ends the walk. Lines `# => …` of a block have to occur in what the
block wrote, in that order; `…` stands for anything within a line.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.test_up import COMMAND, environment, service

GUIDE = (Path(__file__).resolve().parents[2] / "docs/guide.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.M | re.S)
PROGRAMS = ("bash", "curl", "openssl")
SECONDS = 160.0
DONE = "-- done --"
SHELL = f'set -euo pipefail; while read -r block; do . "$block" </dev/null; echo "{DONE}"; done'
PYTHON = """\
import sys
names = {"__name__": "__main__"}
for block in sys.stdin:
    exec(compile(open(block.strip(), encoding="utf-8").read(), block.strip(), "exec"), names)
    print("%s", flush=True)
"""

# one walk in one process: a minute and a half on an idle machine, many on a busy one
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Session:
    """A bash or a Python that runs one block after another."""

    def __init__(self, command: list[str], folder: Path, variables: dict[str, str]) -> None:
        self._folder = folder
        self._blocks = 0
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment(), **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, block: str) -> str:
        """What the block wrote; fails with it when a command failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.poll() is None, "an earlier block failed"
        self._blocks += 1
        path = self._folder / f".block-{self._process.pid}-{self._blocks}"
        path.write_text(block, encoding="utf-8")
        print(path, file=self._process.stdin, flush=True)
        written = []
        too_late = threading.Timer(SECONDS, self._process.kill)
        too_late.start()
        try:
            for line in self._process.stdout:
                if line.strip().endswith(DONE):
                    return "".join((*written, line.replace(DONE, "")))
                written.append(line)
        finally:
            too_late.cancel()
        pytest.fail(f"{block}\nended with {self._process.wait()} after it wrote:\n{''.join(written)}")

    def close(self) -> None:
        """End it; what the walk has left running in it goes too."""
        self._process.kill()
        self._process.communicate()


class Walk:
    """The service, and the sessions beside it."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        variables = {"STEADYRANK_DATA_DIR": str(folder / "data"), "STEADYRANK_URL": url, "COLUMNS": "120"}
        variables["PATH"] = f"{Path(COMMAND).parent}{os.pathsep}{os.environ['PATH']}"
        work = folder / "walk"
        work.mkdir()
        self.sessions = {"python": Session([sys.executable, "-c", PYTHON % DONE], work, variables)}
        if all(shutil.which(program) for program in PROGRAMS):
            self.sessions["sh"] = Session(["bash", "-c", SHELL], work, variables)
        for session in self.sessions.values():
            stack.callback(session.close)

    def follow(self, page: str) -> bool:
        """Run a page's blocks; False when some could not run here."""
        for language, block in BLOCK.findall(page):
            if language in self.sessions:
                check(block, self.sessions[language].run(block))
        return {language for language, _ in BLOCK.findall(page)} <= self.sessions.keys()


def check(block: str, written: str) -> None:
    """Every `# => …` of a block occurs in what it wrote, in this order."""
    place = 0
    for expected in re.findall(r"^# => (.+)$", block, re.M):
        pattern = ".*?".join(re.escape(part) for part in expected.split("…"))
        found = re.compile(pattern).search(written, place)
        assert found, f"{block}\ndid not write, where it was expected:\n{expected}\nbut:\n{written}"
        place = found.end()


@pytest.fixture
def walk() -> Iterator[Walk]:
    (start,) = re.findall(r"^    (STEADYRANK_WEBHOOK_ALLOW_PRIVATE)=(true) steadyrank up$", GUIDE, re.M)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="sr-"))
        stack.callback(shutil.rmtree, folder)
        _, url = stack.enter_context(service(folder / "data", **dict([start])))
        yield Walk(folder, url, stack)


def test_the_guide(walk: Walk) -> None:
    if not walk.follow(GUIDE):
        pytest.skip(f"the sh blocks need {', '.join(PROGRAMS)}; those in Python have run")
