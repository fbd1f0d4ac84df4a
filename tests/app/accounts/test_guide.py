"""The guide's commands for projects and limits, as they stand there, against the real service."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.accounts.service import create_key
from app.db.session import Database

GUIDE = Path(__file__).resolve().parents[3] / "docs/api.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_guide_makes_a_project_and_shows_what_is_used(service_url: str, database: Database) -> None:
    section = GUIDE.read_text(encoding="utf-8").partition("## Projects and limits")[2].partition("\n## ")[0]
    commands = re.findall(r"```sh\n(.*?)```", section, re.S)
    with database.unit_of_work() as session:
        secret = create_key(session, name="operator", scopes=["operator"])[1]
    given = [
        f"URL={service_url}",
        f'AUTH="Authorization: Bearer {secret}"',
        'JSON="Content-Type: application/json"',
    ]
    script = "\n".join(("set -euo pipefail", *given, *commands))
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert '"stored_bytes_by_kind":{' in done.stdout
    assert '"own_limits":{"rows":null,"stored_bytes":null,"jobs_at_once":4' in done.stdout
