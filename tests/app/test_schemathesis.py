"""The served API against its own OpenAPI page, by schemathesis with every check, from a fixed seed.

A few examples of each operation here; `make fuzz` takes 200, with the phases that take long.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.accounts.scopes import Scope
from app.accounts.service import create_key
from app.db.session import Database
from app.storage.database import DatabaseBlobStore
from tests.app.stock import Stock, stock_up

ROOT = Path(__file__).resolve().parents[2]
SEED = "20251123"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""0 for the short run."""
ARGUMENTS = shlex.split(os.environ.get("FUZZ_ARGS", ""))
SHORT = ("--phases", "examples,fuzzing", "--max-examples", "2", "--no-shrink")
LONG = ("--max-examples", str(EXAMPLES))
REACHED = 0.7
"""The share of operations that must have answered 2xx, or the run has shown nothing."""


def configured(stock: Stock) -> str:
    """A configuration in which most ids are of things that are there."""
    ids = [f"{name} = {{values = {json.dumps(values)}}}" for name, values in stock.items()]
    paths = [f'"path.{name}" = {{dictionary = "{name}", probability = 0.8}}' for name in stock]
    bodies = [
        f'"body.{name}" = {{dictionary = "{name}_id", probability = 0.8}}' for name in ("dataset", "model")
    ]
    hooks = ['hooks = "tests.app.schemathesis_hooks"', "continue-on-failure = true"]
    # asking to wait for a job is answered late on purpose
    ids.append("waits = {values = [0, 1]}")
    paths.append('"query.wait" = {dictionary = "waits", probability = 1.0}')
    refused = ", ".join(f'"{status}"' for status in (401, 403, 404, 405, 409, 413, 415, 422, 429))
    checks = [
        "[checks]",
        "max_response_time = 65",
        "[checks.negative_data_rejection]",
        f"expected-statuses = [{refused}]",
    ]
    return "\n".join((*hooks, "[dictionaries]", *ids, "[parameters]", *paths, *bodies, *checks, ""))


def operations_that_answered(report: Path) -> tuple[set[str], set[str]]:
    """All operations of a JSON report, and those with a 2xx among their answers.

    A scenario is named for its operation; its cases try methods too that the path does not take.
    """
    tested, answered = set(), set()
    for line in report.read_text().splitlines():
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for case_id, case in recorder.get("cases", {}).items():
            label = f"{case['value']['method']} {case['value']['path']}"
            response = recorder.get("interactions", {}).get(case_id, {}).get("response") or {}
            if label == recorder["label"]:
                tested.add(label)
            if response.get("status_code", 0) // 100 == 2:
                answered.add(label)
    return tested, answered & tested


@pytest.mark.slow
@pytest.mark.timeout(0 if EXAMPLES else 400)
def test_nothing_is_found(
    service_url: str, database: Database, blobs: DatabaseBlobStore, tmp_path: Path
) -> None:
    with database.unit_of_work() as session:
        key, secret = create_key(session, name="fuzz", scopes=[Scope.OPERATOR])
        kept = f"{key.id} {key.project_id}"
    authorization = f"Bearer {secret}"
    with httpx.Client(base_url=service_url, headers={"Authorization": authorization}, timeout=60) as client:
        stock = stock_up(database, blobs, client)
        configuration, report = tmp_path / "schemathesis.toml", tmp_path / "report.ndjson"
        configuration.write_text(configured(stock))
        ran = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration), "run"),
                *(f"{service_url}/openapi.json", "--header", f"Authorization: {authorization}"),
                *("--checks", "all", "--seed", SEED, "--generation-database", "none", "--no-color"),
                *("--report", "ndjson", "--report-ndjson-path", str(report)),
                *(LONG if EXAMPLES else SHORT),
                *ARGUMENTS,
            ],
            cwd=ROOT,
            env={**os.environ, "FUZZ_KEPT": kept, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, "\n".join(line[:500] for line in (ran.stdout + ran.stderr).splitlines())
        assert client.get("/v1/jobs").status_code == 200  # the key was good until the end
    tested, answered = operations_that_answered(report)
    assert len(tested) > 50 or ARGUMENTS
    assert len(answered) >= REACHED * len(tested), sorted(tested - answered)
