from __future__ import annotations

import signal
import sys

import pytest

from app.cli.demo.service import running_service, stopped_by_signals
from app.embedded.errors import StartError


def test_a_service_that_does_not_start_leaves_its_log_and_nothing_else(monkeypatch, tmp_path):
    temporary = tmp_path / "t"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(StartError, match="service ended while starting"), running_service(tmp_path / "logs"):
        pytest.fail("there is no service to use")
    assert "/no/such/python" in (tmp_path / "logs" / "service.log").read_text()
    assert list(temporary.iterdir()) == []


@pytest.fixture
def heeding():
    """SIGHUP heeded, also when the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_demo_under_nohup_outlives_its_terminal():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_by_signals():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_ends_the_block_and_the_next_ones_do_not_disturb(number, heeding):
    before = signal.getsignal(number)
    cleaned_up = []

    def interrupted() -> None:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(signal.SIGINT)
            cleaned_up.append(True)

    with pytest.raises((KeyboardInterrupt, SystemExit)) as left, stopped_by_signals():
        interrupted()
    assert cleaned_up
    if number != signal.SIGINT:
        assert left.value.code == 128 + number
    assert signal.getsignal(number) is before
