"""Commands against the real service: files come down, promotions are checked, jobs and batches go away."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.exits import BAD_INPUT, UNAVAILABLE
from app.config import Settings
from app.db.models.job_metric import JobMetric
from app.db.session import Database
from app.main import create_app
from app.storage.database import DatabaseBlobStore
from tests.app.cli.conftest import Cli
from tests.factories import CSV, make_ready_dataset
from tests.serving import served
from tests.stored_models import store_models

NAME = "films-sasrec-cascade"


@pytest.fixture(autouse=True)
def _surroundings(service_url: str, api_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEADYRANK_URL", service_url)
    monkeypatch.setenv("STEADYRANK_API_KEY", api_key)


def test_a_data_set_comes_back_as_it_went_up(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "up").mkdir()
    (tmp_path / "up/log.csv").write_bytes(CSV)
    made = cli.json("datasets", "upload", "up/log.csv", "--no-wait")
    assert made["id"] in cli("datasets", "download", made["id"]).stdout
    assert (tmp_path / "log.csv").read_bytes() == CSV
    assert cli.json("datasets", "download", made["id"], "again.csv")["sha256"] == made["sha256"]
    assert cli("datasets", "download", made["id"]).exit_code == 0  # it is the same file
    (tmp_path / "log.csv").write_text("what I have made of it since")
    refused = cli("datasets", "download", made["id"])
    assert refused.exit_code == 2
    assert "exists, and is another file" in refused.stderr
    assert (tmp_path / "log.csv").read_text() == "what I have made of it since"
    assert cli("datasets", "download", made["id"], "log.csv").exit_code == 0  # it was named


def test_a_promotion_is_tried_made_and_shown(cli: Cli, database: Database, blobs: DatabaseBlobStore) -> None:
    (model,) = store_models(database, blobs)
    gate = ("--promote-if", "test.ndcg@10:at_least:0.1")
    promotion = ("models", "promote", NAME, "1", "production", *gate)
    assert "would be let through" in cli(*promotion, "--validate").stdout
    assert cli.json("models", "aliases", NAME) == []
    assert cli(*promotion, "--keep-gates").exit_code == 0
    shown = cli("models", "alias", NAME, "production").stdout
    assert f"version 1, {model}" in shown
    assert "at_least 0.1" in shown
    assert "production" in cli("models", "show", f"{NAME}@production").stdout
    assert cli.json("models", "list", "--alias", "production", "--name", NAME)[0]["id"] == model
    assert cli.json("models", "list", "--arm", "standard") == []
    assert cli.json("models", "list", "--version", "1")[0]["id"] == model
    assert cli.json("models", "list", "--version", "2") == []
    assert cli.json("uploads", "list", "--sha256", "0" * 64) == []


def test_a_check_of_a_promotion_is_of_the_gates_that_would_be_kept(
    cli: Cli, database: Database, blobs: DatabaseBlobStore
) -> None:
    for ndcg in (0.2, 0.05):
        store_models(database, blobs, metrics={"test": {"ndcg@10": ndcg}})
    begin = ("models", "promote", NAME)
    assert (
        cli(*begin, "1", "production", "--promote-if", "test.ndcg@10:at_least:0.1", "--keep-gates").exit_code
        == 0
    )
    second = (*begin, "2", "production", "--promote-if", "test.ndcg@10:at_least:0.01")
    assert cli(*second, "--validate").exit_code == BAD_INPUT
    for lenient in ("--keep-gates", "--force"):
        assert "would be let through" in cli(*second, lenient, "--validate").stdout
    assert cli.json("models", "alias", NAME, "production")["version"] == 1
    assert cli(*second, "--keep-gates").exit_code == 0


def test_a_command_that_is_run_again_with_its_key_makes_nothing_twice(
    cli: Cli, database: Database, blobs: DatabaseBlobStore, tmp_path: Path
) -> None:
    (model,) = store_models(database, blobs)
    with database.unit_of_work() as session:
        dataset = make_ready_dataset(session, blobs).id
    log = tmp_path / "log.csv"
    log.write_text("user,item\na,b\n")
    key = ("--idempotency-key", "nightly")
    for command, other in (
        (("datasets", "upload", str(log), "--no-wait"), ("--name", "another")),
        (("jobs", "submit", dataset), ("--set", "epochs=8")),
        (("evaluations", "run", model, dataset, "--no-wait"), ("--set", "k_core=3")),
        (("models", "recommend-batch", model, dataset, "--no-wait"), ("-k", "3")),
    ):
        assert cli.json(*command, *key)["id"] == cli.json(*command, *key)["id"]
        reused = cli(*command, *key, *other)
        assert (reused.exit_code, "was used for another request" in reused.stderr) == (BAD_INPUT, True)
        odd = cli(*command, "--idempotency-key", "")
        assert (odd.exit_code, "is no idempotency key" in odd.stderr) == (BAD_INPUT, True)
    made = [job["id"] for job in cli.json("jobs", "list", "--dataset", dataset)]
    assert len(made) == len(cli.json("evaluations", "list")) == len(cli.json("models", "batches", model)) == 1


def test_a_job_is_read_and_deleted(cli: Cli, database: Database, blobs: DatabaseBlobStore) -> None:
    (model,) = store_models(database, blobs)
    job = cli.json("models", "show", model)["job"]
    epoch = {"arm": "cascade", "seed": 0, "epoch": 1, "loss": 1.25, "seconds": 0.5, "attempt": 1}
    with database.unit_of_work() as session:
        session.add(JobMetric(job_id=job, validation={"ndcg@10": 0.2}, **epoch))
    assert "1.2500" in cli("jobs", "metrics", job).stdout
    assert "came free" in cli("jobs", "delete", job, "--models").stdout
    assert cli("jobs", "show", job).exit_code == 2
    assert cli.json("models", "list") == []


def test_health_says_what_is_down(cli: Cli, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.json("health")["checks"] == {"database": "ok", "broker": "ok"}
    lame = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    monkeypatch.setattr("app.sdk.transport.RETRIED_STATUSES", frozenset())
    with served(create_app(lame)) as url:
        monkeypatch.setenv("STEADYRANK_URL", url)
        down = cli("health")
    assert down.exit_code == UNAVAILABLE
    assert "down" in down.stdout
    assert "broker" in down.stderr
