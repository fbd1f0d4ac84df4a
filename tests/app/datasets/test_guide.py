"""The commands of the page on data sets, as they stand there, against the real service."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from app.config import Settings
from app.db.session import Database
from app.storage.database import DatabaseBlobStore
from worker.datasets import validate_dataset
from worker.resources import Resources

DOCS = Path(__file__).resolve().parents[3] / "docs"
LOG = b"user,item,time\n" + b"".join(
    b"%s,%d,%d\n" % (user, item, 1_700_000_000 + 60 * item)
    for user in (b"196", b"186 ", b"22")
    for item in range(5)
)


@pytest.mark.skipif(
    any(shutil.which(name) is None for name in ("bash", "curl", "python3")), reason="needs curl"
)
def test_the_page_on_data_sets(
    client: httpx.Client, settings: Settings, database: Database, blobs: DatabaseBlobStore, api_key: str
) -> None:
    (field,) = re.findall(r"^field\(\) .*$", (DOCS / "api.md").read_text(encoding="utf-8"), re.M)
    look, transform, forget = re.findall(r"```sh\n(.*?)```", (DOCS / "data-sets.md").read_text("utf-8"), re.S)
    resources = Resources(settings, database, blobs)

    def run(commands: str, **names: str) -> str:
        given = {"URL": str(client.base_url).rstrip("/"), "AUTH": f"Authorization: Bearer {api_key}", **names}
        lines = [f'{name}="{value}"' for name, value in given.items()]
        script = "\n".join(
            ["set -euo pipefail", *lines, 'JSON="Content-Type: application/json"', field, commands]
        )
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def made() -> dict[str, object]:
        newest: dict[str, object] = client.get("/v1/datasets?limit=1").json()["data"][0]
        validate_dataset(str(newest["id"]), resources=resources)
        found: dict[str, object] = client.get(f"/v1/datasets/{newest['id']}").json()
        return found

    client.post("/v1/datasets?filename=log.csv", content=LOG)
    first = made()
    assert "| warning | id_spaces |" in run(look, DATASET=str(first["id"]))
    run(transform, DATASET=str(first["id"]))
    clean = made()
    assert (clean["status"], clean["version"]) == ("ready", 2)
    run(forget, CLEAN=str(clean["id"]))
    last = made()
    assert last["stats"]["users"] == 1  # type: ignore[index]
    assert last["lineage"]["deleted"] == [clean["id"], first["id"]]  # type: ignore[index]
