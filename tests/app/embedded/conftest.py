from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder in which a socket's path fits; only this user may enter it."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="sr-"))
    yield folder
    shutil.rmtree(folder)
