"""The dashboard's modules in Node, against a served API."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import app.dashboard
from app.db.models.job_metric import JobMetric
from app.db.session import Database
from app.storage.database import DatabaseBlobStore
from tests.factories import make_job, make_ready_dataset

NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="there is no node")
def test_the_modules_do_what_the_page_needs(
    service_url: str, api_key: str, database: Database, blobs: DatabaseBlobStore, tmp_path: Path
) -> None:
    with database.unit_of_work() as session:
        job = make_job(session, make_ready_dataset(session, blobs)).id
    with database.unit_of_work() as session:
        for epoch in (1, 2, 3):
            row = {"job_id": job, "seed": 0, "arm": "standard", "epoch": epoch, "attempt": 1, "loss": 0.5}
            session.add(JobMetric(**row, seconds=1.0, validation={"ndcg@10": epoch / 100}))
    page = tmp_path / "page"
    shutil.copytree(Path(app.dashboard.__path__[0]) / "page", page)
    (page / "package.json").write_text('{"type": "module"}')  # to Node, else, a .js is no module
    script = Path(__file__).with_name("modules.mjs")
    done = subprocess.run(
        [str(NODE), str(script), str(page), service_url, api_key, job],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "all of it\n"), done.stderr
