from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.embedded import datafolder
from app.embedded.datafolder import Running, held, running_in
from app.embedded.errors import AlreadyRunningError, EmbeddedError


def test_the_folder_is_for_this_user_alone(tmp_path: Path) -> None:
    folder = datafolder.make(tmp_path / "new" / "data")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "logs").stat().st_mode & 0o777 == 0o700


def test_some_other_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    tmp_path.chmod(0o755)
    with pytest.raises(EmbeddedError, match="not a SteadyRank data folder"):
        datafolder.make(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match=r"file/data cannot be used: Not a directory"):
        datafolder.make(tmp_path / "file" / "data")


def test_one_supervisor_holds_a_folder_and_a_second_one_learns_where_the_first_answers(
    tmp_path: Path,
) -> None:
    folder = datafolder.make(tmp_path / "data")
    assert running_in(folder) is None
    with held(folder) as hold:
        hold.tell(Running(os.getpid(), "http://127.0.0.1:1", "postgresql://…", "unix://…"))
        found = running_in(folder)
        assert found is not None
        assert found.database_url == "postgresql://…"
        with (
            pytest.raises(AlreadyRunningError, match=r"already running at http://127\.0\.0\.1:1 ") as caught,
            held(folder),
        ):
            pass
        assert caught.value.pid == os.getpid()
    assert running_in(folder) is None
    assert datafolder.make(folder) == folder
    with held(folder):
        # a shorter text than the one before
        assert running_in(folder) == Running(os.getpid())


def test_processes_of_a_killed_supervisor_are_waited_for(tmp_path: Path) -> None:
    folder = datafolder.make(tmp_path)
    with held(folder) as hold:
        survivor = os.dup(hold.processes)
    try:
        with pytest.raises(EmbeddedError, match="earlier run"), held(folder, patience=0.1):
            pass
    finally:
        os.close(survivor)
    with held(folder, patience=0.1):
        pass


def test_a_private_file_is_written_whole_over_what_a_crash_left(tmp_path: Path) -> None:
    (tmp_path / "api-key.new").write_text("half")
    (tmp_path / "api-key.new").chmod(0o644)
    datafolder.write_private(tmp_path / "api-key", "secret\n")
    assert (tmp_path / "api-key").read_text() == "secret\n"
    assert (tmp_path / "api-key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["api-key"]
