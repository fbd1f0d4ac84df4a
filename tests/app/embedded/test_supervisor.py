from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded import logfiles
from app.embedded.errors import StartError
from app.embedded.processes import ProcessSpec
from app.embedded.supervisor import LIVED_SECONDS, Supervisor, delay_after, ended


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    supervisor.stop()


def shell(folder: Path, name: str, script: str = "sleep 1000", **more: object) -> ProcessSpec:
    return ProcessSpec(name, ["sh", "-c", script], folder / f"{name}.log", folder, **more)  # type: ignore[arg-type]


def until(condition: object) -> None:
    deadline = time.monotonic() + 10
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_waits_between_restarts_double_up_to_half_a_minute() -> None:
    assert [delay_after(deaths) for deaths in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


def test_a_killed_process_starts_again_after_its_delay_and_not_before(
    tmp_path: Path, supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor.start(shell(tmp_path, "worker"))
    before = supervisor.pids()["worker"]
    os.kill(before, signal.SIGKILL)
    until(lambda: "worker" not in supervisor.pids())
    now = time.monotonic()
    supervisor.watch_once(now)
    assert "worker ended (signal SIGKILL), starts again in 1 s" in caplog.text
    supervisor.watch_once(now + 0.99)
    assert supervisor.pids() == {}
    supervisor.watch_once(now + 1.01)
    assert supervisor.pids()["worker"] != before


def test_a_death_is_told_once_and_before_the_restart(tmp_path: Path) -> None:
    told: list[str] = []
    supervisor = Supervisor(on_death=told.append)
    try:
        supervisor.start(shell(tmp_path, "worker", "exit 1"))
        until(lambda: not supervisor.pids())
        now = time.monotonic()
        supervisor.watch_once(now)
        supervisor.watch_once(now + 0.5)
        assert told == ["worker"]
    finally:
        supervisor.stop()


def test_a_process_that_keeps_dying_waits_longer_until_it_lives_a_while(
    tmp_path: Path, supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor.start(shell(tmp_path, "worker", "exit 3"))
    now = time.monotonic()
    for delay in (1, 2, 4):
        until(lambda: not supervisor.pids())
        caplog.clear()
        supervisor.watch_once(now)
        assert f"(exit code 3), starts again in {delay} s" in caplog.text
        now += delay
        supervisor.watch_once(now)
    until(lambda: not supervisor.pids())
    caplog.clear()
    supervisor.watch_once(now + LIVED_SECONDS)
    assert "starts again in 1 s" in caplog.text


def test_the_log_of_a_running_process_is_bounded(
    tmp_path: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfiles, "ROTATE_BYTES", 10)
    log = tmp_path / "worker.log"
    supervisor.start(shell(tmp_path, "worker", "echo more than ten bytes; exec sleep 1000"))
    until(lambda: log.read_text().endswith("\n"))
    supervisor.watch_once(time.monotonic())
    assert log.read_text() == ""
    assert log.with_name("worker.log.1").read_text() == "more than ten bytes\n"
    assert "worker" in supervisor.pids()


def test_a_process_that_does_not_come_up_is_an_error_and_is_not_kept(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    with pytest.raises(StartError, match="did not answer"):
        supervisor.start(shell(tmp_path, "api", ready=lambda: False), seconds=0.05)
    assert supervisor.pids() == {}


def test_stages_stop_from_the_last_to_the_first(tmp_path: Path) -> None:
    supervisor = Supervisor()
    for stage, name in enumerate(("postgres", "valkey", "reaper")):
        script = f"trap 'echo {name} >> order; exit 0' TERM; touch {name}.up; while :; do sleep 0.02; done"
        ready = (tmp_path / f"{name}.up").exists
        supervisor.start(shell(tmp_path, name, script, stage=stage, ready=ready))
    supervisor.stop()
    assert (tmp_path / "order").read_text().split() == ["reaper", "valkey", "postgres"]
    assert supervisor.pids() == {}


def test_a_signal_ends_the_watch_and_nothing_is_started_after_it(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with supervisor.signals():
        os.kill(os.getpid(), signal.SIGTERM)
        supervisor.run(interval=0.01)
        supervisor.start(shell(tmp_path, "late"))
    assert supervisor.pids() == {}
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("ignored", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_we_were_started_to_ignore_stays_ignored(
    supervisor: Supervisor, ignored: signal.Signals
) -> None:
    before = signal.signal(ignored, signal.SIG_IGN)
    try:
        with supervisor.signals():
            os.kill(os.getpid(), ignored)
            assert not supervisor.stopping
            os.kill(os.getpid(), signal.SIGTERM)
            assert supervisor.stopping
        assert signal.getsignal(ignored) is signal.SIG_IGN
    finally:
        signal.signal(ignored, before)


def test_exit_statuses_in_words() -> None:
    assert ended(2) == "exit code 2"
    assert ended(-9) == "signal SIGKILL"
    assert ended(-64) == "signal SIGRTMAX"
    assert ended(-200) == "signal 200"
