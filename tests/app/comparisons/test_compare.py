"""Comparisons through HTTP: of jobs that were really trained, and of evaluations of their models."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, update
from typer.testing import CliRunner

from app.cli import main
from app.config import Settings
from app.db.models.job_file import JobFile
from app.db.session import Database
from app.sdk.client import SteadyRank
from app.sdk.comparisons import Comparison
from app.storage.database import DatabaseBlobStore
from tests.problems import problem
from tests.trained_jobs import log_of, measure_here, store_log, train_job
from worker.resources import Resources
from worker.training.evaluation.outcomes import OUTCOMES_FILE


@dataclass(frozen=True)
class Trained:
    dataset: str
    a: str
    b: str
    models: list[str]


@pytest.fixture
def resources(settings: Settings, database: Database, blobs: DatabaseBlobStore) -> Resources:
    return Resources(settings, database, blobs)


@pytest.fixture
def trained(resources: Resources) -> Trained:
    """Two jobs on one data set, the second a wider model; two seeds in the first."""
    dataset = store_log(resources, log_of(40))
    a, models = train_job(resources, dataset, name="first", seeds=(0, 1))
    b, more = train_job(resources, dataset, name="wider", hidden_size=12)
    return Trained(dataset, a, b, [*models, *more])


def compared(client: httpx.Client, **query: Any) -> dict[str, Any]:
    response = client.get("/v1/compare", params=query)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_arms_of_one_job_have_the_numbers_of_its_report(client: httpx.Client, trained: Trained) -> None:
    report = client.get(f"/v1/jobs/{trained.a}/report").json()
    body = compared(client, jobs=f"{trained.a},{trained.b}")
    assert (body["baseline"]["id"], body["baseline"]["arm"]) == (trained.a, "standard")
    assert [(one["job"], one["arm"]) for one in body["others"]] == [
        (trained.a, "cascade"),
        (trained.b, "standard"),
        (trained.b, "cascade"),
    ]
    assert (body["paired"], body["protocol_hash"]) == (True, report["protocol_hash"])
    own = body["others"][0]["metrics"]
    assert len(report["comparisons"]) == 3
    for row in report["comparisons"]:
        found = own[row["metric"]]
        assert [found["difference"], found["low"], found["high"]] == pytest.approx(
            [row["difference"], *row["interval"]]
        )
        assert found["n"] == row["n"]
        assert found["significant"] == (found["low"] > 0 or found["high"] < 0)
    assert own["test.ndcg@10"]["value"] == pytest.approx(report["arms"]["cascade"]["test"]["ndcg@10"])
    assert own["test.ndcg@10"]["baseline"] == pytest.approx(report["arms"]["standard"]["test"]["ndcg@10"])


def test_two_jobs_by_one_arm_in_the_sdk_and_on_the_command_line(
    service_url: str, api_key: str, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SteadyRank(service_url, api_key) as service:
        found = service.compare([trained.a, trained.b], arm="cascade", baseline=trained.b)
        page = service.compare([trained.b, trained.a], arm="cascade", format="md")
        plain = service.jobs.report(trained.b)
    (other,) = found.others
    assert (found.baseline.id, other.id, other.seeds) == (trained.b, trained.a, (0, 1))
    figure = other.metrics["test.ndcg@10"]
    assert figure.baseline == pytest.approx(plain["arms"]["cascade"]["test"]["ndcg@10"])
    assert figure.low <= figure.difference <= figure.high
    assert found.verdict.startswith("Cascade of first against cascade of wider: ")
    assert found.verdict in page
    assert (found.protocol_hash, found.protocol_differences) == (plain["protocol_hash"], ())
    assert (other.job, other.model, other.evaluation) == (trained.a, None, None)
    monkeypatch.setenv("STEADYRANK_API_KEY", api_key)
    monkeypatch.setenv("COLUMNS", "200")
    run = ["--url", service_url, "compare", trained.b, trained.a, "--arm", "cascade"]
    shown = CliRunner().invoke(main.app, run)
    assert shown.exit_code == 0, shown.output
    assert f"{figure.difference:+.4f}" in shown.stdout
    assert "Cascade of first against cascade of wider" in shown.stdout
    as_json = CliRunner().invoke(main.app, [*run, "--json"])
    assert json.loads(as_json.stdout) == found.raw


def test_the_baseline_is_named_as_the_model_is(
    client: httpx.Client, service_url: str, api_key: str, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = client.get(f"/v1/models/{trained.models[0]}").json()
    alias = client.put(f"/v1/models/{model['name']}/aliases/production", json={"model": model["id"]})
    assert alias.status_code == 200, alias.text
    for named in (f"{model['name']}@production", f"{model['name']}@latest", f"{model['name']}@1"):
        asked = client.get(f"/v1/models/{named}").json()["id"]
        body = compared(client, jobs=trained.b, models=named, baseline=named)
        assert (body["baseline"]["type"], body["baseline"]["id"]) == ("model", asked)
        assert {one["id"] for one in body["others"]} == {trained.b}
    monkeypatch.setenv("STEADYRANK_API_KEY", api_key)
    run = ["--url", service_url, "compare", f"{model['name']}@production", trained.b, "--json"]
    shown = CliRunner().invoke(main.app, run)
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["baseline"]["id"] == model["id"]


def test_models_and_evaluations_beside_jobs(
    client: httpx.Client, resources: Resources, trained: Trained, tmp_path: Path
) -> None:
    model = trained.models[-1]
    asked = client.post("/v1/evaluations", json={"model": model, "dataset": trained.dataset}).json()
    measure_here(resources, asked["id"], tmp_path)
    body = compared(client, models=f"{model},wider-sasrec-standard@1", evaluations=asked["id"])
    same = body["others"][1]
    assert (same["evaluation"], same["model"], same["type"]) == (asked["id"], model, "evaluation")
    # Measured anew on the same data it is the same model: nothing differs, user by user.
    assert {(one["difference"], one["low"], one["high"]) for one in same["metrics"].values()} == {(0, 0, 0)}
    assert "no measurable difference in clean NDCG@10" in body["verdict"]


def test_what_was_not_measured_alike_is_refused_by_name(
    client: httpx.Client, resources: Resources, trained: Trained
) -> None:
    shorter, _ = train_job(resources, trained.dataset, name="shorter", max_length=5)
    query = {"jobs": f"{trained.a},{shorter}", "arm": "standard"}
    refused = client.get("/v1/compare", params=query)
    assert (refused.status_code, refused.json()["code"]) == (409, "mixed_protocol")
    assert "protocol.max_length is 5 in the one and 6 in the other" in refused.json()["detail"]
    assert [row["field"] for row in refused.json()["differences"]] == ["protocol.max_length"]
    body = compared(client, **query, allow_mixed="true")
    assert (body["paired"], body["protocol_hash"]) == (False, None)
    assert "were not measured alike (protocol.max_length differs)" in body["verdict"]
    (why,) = Comparison.from_json(body).protocol_differences
    assert (why.id, why.field, why.baseline, why.value) == (shorter, "protocol.max_length", 6, 5)
    other = store_log(resources, log_of(30), "other.csv")
    elsewhere, _ = train_job(resources, other)
    answer = client.get("/v1/compare", params={"jobs": f"{trained.a},{elsewhere}"}).json()
    assert [row["field"] for row in answer["differences"]] == ["dataset.content_sha256"]  # once, of two arms
    apart = compared(client, jobs=f"{trained.a},{elsewhere}", arm="standard", allow_mixed="true")
    assert apart["others"][0]["metrics"]["test.ndcg@10"]["n"] == 30


def test_which_other_attacks_were_made_does_not_matter(
    client: httpx.Client, resources: Resources, trained: Trained
) -> None:
    few, _ = train_job(resources, trained.dataset, name="few")
    many, _ = train_job(
        resources, trained.dataset, name="many", attack_counts=(2, 1), attack_positions=("start", "end")
    )
    body = compared(client, jobs=f"{few},{many}", arm="cascade")
    assert (body["paired"], body["protocol_hash"], body["protocol_differences"]) == (True, None, [])
    same = body["others"][0]["metrics"]  # of the same training
    assert len(same) == 3
    assert {(one["difference"], one["low"], one["high"]) for one in same.values()} == {(0, 0, 0)}
    again, _ = train_job(resources, trained.dataset, name="seed", attack_seed=1)
    refused = client.get("/v1/compare", params={"jobs": f"{few},{again}"}).json()
    assert [row["field"] for row in refused["differences"]] == ["protocol.attack.seed"]


def test_markdown_is_a_table(client: httpx.Client, trained: Trained) -> None:
    page = client.get(
        "/v1/compare", params={"jobs": f"{trained.a},{trained.b}"}, headers={"Accept": "text/markdown"}
    )
    assert page.headers["content-type"].startswith("text/markdown")
    assert page.text.startswith("# Against standard of first\n")
    assert "| cascade of wider | clean NDCG@10 |" in page.text


def test_what_cannot_be_compared_is_said(
    client: httpx.Client, database: Database, trained: Trained, stranger_headers: dict[str, str]
) -> None:
    def refused(status: int, code: str, **query: Any) -> dict[str, Any]:
        response = client.get("/v1/compare", params=query)
        assert (response.status_code, response.json()["code"]) == (status, code), response.text
        body: dict[str, Any] = response.json()
        return body

    both = f"{trained.a},{trained.b}"
    refused(422, "wrong_number", jobs=trained.a)
    twice = refused(422, "repeated", jobs=trained.a, models=f"{trained.models[0]},{trained.models[0]}")
    alone = refused(422, "wrong_number", models=trained.models[0])
    assert [twice["errors"][0]["pointer"], alone["errors"][0]["pointer"]] == ["?models", "?models"]
    refused(422, "no_such_arm", jobs=both, arm="adversarial")
    refused(422, "no_such_baseline", jobs=both, baseline="job_x")
    assert refused(404, "job_not_found", jobs=f"{trained.a},job_x")["errors"][0]["pointer"] == "?jobs"
    assert client.get("/v1/compare", params={"jobs": both}, headers=stranger_headers).status_code == 404
    with database.unit_of_work() as session:  # as a job of an older version is
        session.execute(delete(JobFile).where(JobFile.path == "outcomes.safetensors"))
    refused(409, "outcomes_not_kept", jobs=both)


def test_figures_that_cannot_be_read_are_told_as_such(
    client: httpx.Client, trained: Trained, resources: Resources
) -> None:
    with resources.database.unit_of_work() as session:
        broken = resources.blobs.put(session, b"no outcomes")
        files = update(JobFile).where(JobFile.job_id == trained.a, JobFile.path == OUTCOMES_FILE)
        assert session.execute(files.values(blob_id=broken.id).returning(JobFile.path)).all()
    answer = client.get("/v1/compare", params={"jobs": f"{trained.a},{trained.b}"})
    problem(answer, 409, "outcomes_unreadable")
