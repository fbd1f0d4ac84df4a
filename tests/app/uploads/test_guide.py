"""The guide's commands for uploads in parts, as they stand there, against the real service."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.app.uploads.test_routes import DATA, SHA256

GUIDE = Path(__file__).resolve().parents[3] / "docs/api.md"
PROGRAMS = ("bash", "curl", "openssl", "split", "sha256sum", "python3")


@pytest.mark.skipif(any(shutil.which(name) is None for name in PROGRAMS), reason=f"needs {PROGRAMS}")
def test_the_guide_uploads_a_file_in_parts(
    client: httpx.Client, service_url: str, api_key: str, tmp_path: Path
) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    (field,) = re.findall(r"^field\(\) .*$", text, re.M)
    section = text.partition("## Large files, in parts")[2]
    commands = section.partition("```sh\n")[2].partition("```")[0]
    (tmp_path / "ml-100k.inter").write_bytes(DATA)
    script = "\n".join(
        (
            "set -euo pipefail",
            f"URL={service_url}",
            f'AUTH="Authorization: Bearer {api_key}"',
            'JSON="Content-Type: application/json"',
            field,
            commands,
        )
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    (dataset,) = client.get("/v1/datasets").json()["data"]
    assert (dataset["sha256"], dataset["filename"]) == (SHA256, "ml-100k.inter")
    assert len(list(tmp_path.glob("part.*"))) == 3
