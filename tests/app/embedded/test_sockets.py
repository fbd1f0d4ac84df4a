from __future__ import annotations

from pathlib import Path

import pytest

from app.embedded.errors import SocketPathError
from app.embedded.sockets import MAX_PATH_BYTES, fits, socket_folder


def test_the_longest_socket_has_exactly_the_longest_path() -> None:
    longest = Path("/" + "a" * (MAX_PATH_BYTES - len("/.s.PGSQL.5432") - 1))
    assert fits(longest)
    assert not fits(longest.with_name(longest.name + "a"))


@pytest.mark.parametrize("name", ["a,b", "with space", "per%cent", "question?", "ünï"])
def test_signs_that_addresses_interpret_do_not_fit(name: str) -> None:
    assert not fits(Path("/tmp") / name)


def test_sockets_stand_in_the_data_folder_when_they_fit(short_folder: Path) -> None:
    folder = socket_folder(short_folder)
    assert folder == short_folder / "run"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_long_data_folder_has_its_sockets_elsewhere_always_the_same_place(short_folder: Path) -> None:
    data = short_folder / ("x" * 100)
    data.mkdir()
    first = socket_folder(data, short=short_folder)
    assert first.parent == short_folder
    assert socket_folder(data, short=short_folder) == first
    assert socket_folder(data.with_name("y" * 100), short=short_folder) != first


def test_a_folder_that_others_may_enter_is_refused(short_folder: Path) -> None:
    (short_folder / "run").mkdir(mode=0o755)
    with pytest.raises(SocketPathError, match="not a private folder"):
        socket_folder(short_folder)


def test_a_link_laid_where_the_folder_should_be_is_refused(short_folder: Path) -> None:
    (short_folder / "elsewhere").mkdir(mode=0o700)
    (short_folder / "run").symlink_to(short_folder / "elsewhere")
    with pytest.raises(SocketPathError, match="not a private folder"):
        socket_folder(short_folder)


def test_when_nothing_fits_the_limit_is_said(short_folder: Path) -> None:
    with pytest.raises(SocketPathError, match=f"at most {MAX_PATH_BYTES} bytes"):
        socket_folder(short_folder / ("x" * 100), short=short_folder / ("y" * 100))
