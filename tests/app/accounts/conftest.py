from __future__ import annotations

import pytest

from tests.app.cli.conftest import Cli


@pytest.fixture
def cli() -> Cli:
    """Runs the command in this process."""
    return Cli()
