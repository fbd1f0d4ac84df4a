"""The plain command, `celery -A worker.celery_app worker`: one process does all that a generated client asks.

A public generator makes the client of the OpenAPI page. It uploads, trains, waits and reads the report.
"""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.accounts.service import create_key
from app.db.models.worker import Worker
from app.jobs.workers import alive, any_alive
from app.main import create_app
from tests.e2e.conftest import ROOT, SHORT_SPEC, Workshop, interactions
from tests.serving import served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def package(workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a package that was generated without a warning, and can be imported."""
    page = tmp_path / "openapi.json"
    page.write_text(json.dumps(create_app(workshop.settings).openapi()))
    command = ("generate", "--path", page, "--config", ROOT / "docs/openapi-client.yml", "--meta", "none")
    generated = subprocess.run(
        [
            sys.executable,
            "-m",
            "openapi_python_client",
            *command,
            "--output-path",
            tmp_path / "generated_client",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    said = generated.stdout + generated.stderr
    assert generated.returncode == 0, said
    assert "warning" not in said.lower(), said
    monkeypatch.syspath_prepend(tmp_path)
    yield "generated_client"
    for name in [name for name in sys.modules if name.split(".")[0] == "generated_client"]:
        del sys.modules[name]


def test_upload_train_read_the_report_and_leave(workshop: Workshop, package: str) -> None:
    command = ("celery", "-A", "worker.celery_app", "worker", "-n", "plain@test")
    worker = workshop.start(*command, "--without-gossip", "--without-mingle", name="plain")
    models: Any = importlib.import_module(f"{package}.models")
    types: Any = importlib.import_module(f"{package}.types")

    def call(name: str, *arguments: Any, **given: Any) -> Any:
        tag = {"dataset": "datasets"}.get(name.rsplit("_", 1)[-1], "jobs")
        answer = importlib.import_module(f"{package}.api.{tag}.{name}").sync(
            *arguments, client=client, **given
        )
        assert not isinstance(answer, models.Problem), answer
        return answer

    with workshop.database.unit_of_work() as session:
        key = create_key(session, name="generated")[1]
    made: Any = importlib.import_module(f"{package}.client").AuthenticatedClient
    with served(create_app(workshop.settings)) as url, made(base_url=url, token=key) as client:
        file = types.File(payload=BytesIO(interactions().write_csv().encode()), file_name="log.csv")
        dataset = call("upload_dataset", body=file, filename="log.csv")
        workshop.wait(lambda: call("get_dataset", dataset.id).status != "validating")
        assert call("get_dataset", dataset.id).status == "ready"

        job = call("create_job", body=models.JobCreate.from_dict({"dataset": dataset.id, **SHORT_SPEC}))
        workshop.wait(lambda: call("get_job", job.id, wait=5).status in {"succeeded", "failed"})
        assert call("get_job", job.id).status == "succeeded", workshop.logs("not trained")
        report = call("get_job_report", job.id)
        figures = call("list_job_figures", job.id)
        drawing = call("get_job_figure", job.id, figures.data[0].id)

    assert set(report["arms"] if isinstance(report, dict) else report.to_dict()["arms"]) == {"cascade"}
    assert drawing.startswith("<svg") or "<svg" in drawing

    with workshop.database.unit_of_work() as session:
        shown = {row.queue: row for row in alive(session)}
        assert set(shown) == {"light", "measure", "train"}
        assert shown["train"].device == "cpu"
        assert "torch" in shown["train"].versions
    log = workshop.folder / "plain.log"
    workshop.wait(lambda: log.read_text().count(" succeeded in ") == 2)  # it has nothing left to do
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    assert workshop.left_behind() == []
    with workshop.database.unit_of_work() as session:
        assert not any_alive(session, "train"), workshop.logs("it has not signed off")
        assert session.execute(select(Worker)).scalars().all() == []
