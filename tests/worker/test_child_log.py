"""What a real process writes, as it is kept."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.config import Settings
from app.jobs.logs import KEPT_LINES
from worker.child_log import ChildLog

SETTINGS = Settings(
    database_url="postgresql://me:hunter%40two@db/x", redis_url="redis://:hunter-three@cache/0"
)


def log_of(script: str) -> ChildLog:
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    assert process.stderr is not None
    log = ChildLog(process.stderr, SETTINGS)
    process.wait(30)
    log.join(10)
    return log


def test_lines_of_loggers_and_others_are_kept_without_secrets(capfd: pytest.CaptureFixture[str]) -> None:
    log = log_of("""
import json, sys
record = {"time": "2025-11-23T13:51:02.000+00:00", "level": "error", "message": "it fell"}
record["traceback"] = "T\\nU"
print(json.dumps(record), file=sys.stderr)
print("13:51:03 WARNING worker.child: key sr_" + "a" * 30, file=sys.stderr)
print("password hunter@two and hunter-three and redis://:other@host/0", file=sys.stderr)
print("", file=sys.stderr)
sys.stderr.buffer.write(b"nul \\0 and \\xff bytes " + b"x" * 9000 + b"\\n")
sys.stderr.buffer.write(b"cut off in the midd")
""")
    lines = log.take()
    assert [line.number for line in lines] == [1, 2, 3, 4, 5]
    assert (lines[0].level, lines[0].text, lines[0].at.year) == ("error", "it fell\nT\nU", 2025)
    assert (lines[1].level, lines[1].text) == ("warning", "worker.child: key sr_aaaa***")
    assert lines[2].text == "password *** and *** and redis://:***@host/0"
    assert lines[3].text.startswith("nul \ufffd and \ufffd bytes xxx")
    assert len(lines[3].text) == 4001
    assert (lines[4].level, lines[4].text) == (None, "cut off in the midd")
    passed_on = capfd.readouterr().err
    assert "cut off in the midd" in passed_on
    assert "hunter" not in passed_on
    log.written(4)
    assert [line.number for line in log.take()] == [5]


def test_the_newest_lines_stay_when_nobody_takes_them() -> None:
    lines = log_of(f"import sys\nfor n in range({KEPT_LINES + 10}): print(n, file=sys.stderr)").take()
    assert (len(lines), lines[0].number, lines[-1].text) == (KEPT_LINES, 11, str(KEPT_LINES + 9))
