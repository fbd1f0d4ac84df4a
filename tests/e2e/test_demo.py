"""`steadyrank demo` as a user runs it: a process of its own, a real service and a real training."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SPEC = {
    "hidden_size": 16,
    "max_length": 20,
    "epochs": 4,
    "warmup_epochs": 2,
    "min_epochs": 0,
    "arms": ["standard", "cascade"],
    "attack_positions": ["end"],
    "attack_replacements": ["uniform"],
    "attack_repeats": 1,
}
LONG_SPEC = {**SPEC, "epochs": 10_000, "warmup_epochs": 1, "patience": 10_000, "max_length": 200}

MARK = "SR_E2E_FOLDER"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),  # seconds on an idle machine, minutes on a busy one
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds left-over processes by /proc"),
]


class Demo:
    """Runs the demo with folders of its own, and a mark that every process below it inherits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder / "t"
        self.temporary.mkdir()
        self.output = folder / "out"
        self.process: subprocess.Popen[str] | None = None
        # No index: the demo must do without PyPI, as on a machine that cannot reach it.
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("STEADYRANK_")},
            "TMPDIR": str(self.temporary),
            MARK: str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "PIP_NO_INDEX": "1",
            "PIP_CONFIG_FILE": "/dev/null",
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/not_the_demos",
            "COLUMNS": "100",
        }
        self.environment.pop("PIP_FIND_LINKS", None)

    def start(self, spec: dict[str, object]) -> subprocess.Popen[str]:
        path = self.folder / "spec.json"
        path.write_text(json.dumps(spec))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "app.cli.main", "demo", "--spec", path, "--output", self.output],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
            start_new_session=True,
        )
        return self.process

    def end(self) -> None:
        """End what a failed test has left running."""
        try:
            if self.process is not None and self.process.poll() is None:
                self.process.terminate()
                self.process.communicate(timeout=60)
        finally:
            if self.process is not None:
                self.process.kill()
            shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self) -> list[str]:
        """Command lines of all living processes that the demo has started, itself included."""
        marker = f"{MARK}={self.folder}".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if marker in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue  # it has ended meanwhile, or is another user's
        return found


@pytest.fixture
def demo() -> Iterator[Demo]:
    made = Demo(Path(tempfile.mkdtemp(dir="/tmp", prefix="sr-e2e-")))
    yield made
    made.end()


def read_until(process: subprocess.Popen[str], text: str, seconds: float = 200.0) -> str:
    """What the process has written up to and with a line that holds `text`; killed when it takes too long."""
    assert process.stdout is not None
    lines = []
    too_late = threading.Timer(seconds, process.kill)
    too_late.start()
    try:
        for line in process.stdout:
            lines.append(line)
            if text in line:
                return "".join(lines)
    finally:
        too_late.cancel()
    pytest.fail(f"ended without {text!r}:\n" + "".join(lines))


def test_the_demo_goes_from_a_log_to_a_recommendation(demo):
    (demo.output / "service-logs").mkdir(parents=True)
    (demo.output / "report.json").write_text("of an earlier run")
    (demo.output / "report.html").write_text("of an earlier run")
    process = demo.start(SPEC)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "SYNTHETIC" in said
    parts = ("standard", "cascade", "popularity", "markov", "Comes next:", "give the same", "Stopping")
    for part in (*parts, "report.html"):
        assert part in said
    report = json.loads((demo.output / "report.json").read_text())
    for arm in ("standard", "cascade"):
        assert {"ndcg@10", "hr@10"} <= set(report["arms"][arm]["test"])
        rows = {row["count"]: row for row in report["arms"][arm]["attacks"] if row["position"] == "end"}
        assert set(rows) == {1, 2, 5}
        assert {"replacement", "ndcg@10", "kept", "overlap"} <= set(rows[1])
    assert report["baselines"]["popularity"]["test"]["ndcg@10"] > 0
    assert (demo.output / "report.md").read_text().startswith("# ")
    assert (demo.output / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert {"weights.safetensors", "config.json", "items.json"} <= {
        path.name for path in (demo.output / "model").iterdir()
    }
    assert json.loads((demo.output / "model" / "config.json").read_text())["arm"] == "cascade"
    assert demo.processes() == []
    assert list(demo.temporary.iterdir()) == []


def test_a_demo_that_is_interrupted_leaves_nothing_behind(demo):
    process = demo.start(LONG_SPEC)
    read_until(process, "training")
    assert any("celery" in command for command in demo.processes())
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)  # an impatient second Ctrl-C
    process.communicate(timeout=90)
    assert process.returncode == 128 + signal.SIGINT
    assert demo.processes() == []
    assert list(demo.temporary.iterdir()) == []
