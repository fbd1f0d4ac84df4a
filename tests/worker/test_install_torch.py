"""Which build of torch a machine gets; pip itself is tried by every fresh install."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

import pytest

from worker.install_torch import CPU_INDEX, PYPROJECT, answers, choose, pinned_torch


def test_the_pin_is_read_from_the_worker_extra() -> None:
    assert pinned_torch(PYPROJECT.read_text(encoding="utf-8")) == "torch==2.13.0"


def test_a_project_without_a_pin_is_an_error() -> None:
    with pytest.raises(SystemExit, match="pins no torch"):
        pinned_torch("[project]\n")


@pytest.mark.parametrize(
    ("platform", "driver", "cpu_index", "arguments"),
    [
        ("linux", False, True, ["--index-url", CPU_INDEX]),
        ("linux", False, False, []),
        ("linux", True, True, []),
        ("darwin", False, True, []),
    ],
)
def test_only_a_linux_without_a_driver_takes_the_cpu_index(
    platform: str, driver: bool, cpu_index: bool, arguments: list[str]
) -> None:
    assert choose(platform, driver=driver, cpu_index=cpu_index)[1] == arguments


def test_an_index_answers_only_if_it_lists_torch(tmp_path: Path) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(tmp_path), **kwargs)  # type: ignore[arg-type]

        def log_message(self, format: str, *args: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        index = f"http://127.0.0.1:{server.server_port}"
        empty = answers(index)
        (tmp_path / "torch").mkdir()
        listed = answers(index)
        server.shutdown()
        thread.join()
    assert (empty, listed) == (False, True)
    assert answers(index, seconds=1.0) is False
