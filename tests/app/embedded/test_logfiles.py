from __future__ import annotations

from pathlib import Path

import pytest

from app.embedded import logfiles


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfiles, "ROTATE_BYTES", 10)


def test_a_log_that_has_grown_is_put_aside_and_a_small_one_is_kept(tmp_path: Path) -> None:
    log, older = tmp_path / "api.log", tmp_path / "api.log.1"
    logfiles.rotate(log)
    log.write_text("x" * 10)
    logfiles.rotate(log)
    assert (log.read_text(), older.exists()) == ("x" * 10, False)
    log.write_text("y" * 11)
    logfiles.rotate(log)
    assert (log.read_text(), older.read_text()) == ("", "y" * 11)


def test_who_has_it_open_goes_on_at_the_beginning(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    with log.open("ab", buffering=0) as writer:
        for line in (b"first line\n", b"second line\n", b"last\n"):
            writer.write(line)
            logfiles.rotate(log)
    assert log.read_bytes() == b"last\n"
    assert (tmp_path / "api.log.1").read_bytes() == b"second line\n"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_ends_the_old_lines_and_not_the_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logfiles.shutil, "copyfile", full)
    log = tmp_path / "api.log"
    log.write_bytes(b"x" * 11)
    logfiles.rotate(log)
    assert log.read_bytes() == b""
    assert list(tmp_path.iterdir()) == [log]


def test_the_end_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert logfiles.tail(log) == ""
    log.write_bytes(b"\xff\n" + b"".join(b"line %d\n" % n for n in range(5000)))
    assert logfiles.tail(log, lines=2) == "line 4998\nline 4999"
