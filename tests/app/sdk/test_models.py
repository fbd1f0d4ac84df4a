"""Models and checkpoints through the SDK and the command, against the real service."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.accounts.service import create_key
from app.cli.main import app as command
from app.db.models.checkpoint import Checkpoint
from app.db.session import Database
from app.sdk.answers.models import Condition
from app.sdk.client import SteadyRank
from app.sdk.errors import ConflictError, ForbiddenError, ValidationFailedError
from app.storage.database import DatabaseBlobStore
from tests.factories import make_job, make_ready_dataset
from tests.stored_models import CARD, model_files, store_models

NAME = "films-sasrec-cascade"


@pytest.fixture
def service(service_url: str, api_key: str) -> Iterator[SteadyRank]:
    with SteadyRank(service_url, api_key) as client:
        yield client


@pytest.fixture
def surroundings(service_url: str, api_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEADYRANK_URL", service_url)
    monkeypatch.setenv("STEADYRANK_API_KEY", api_key)


def test_aliases_move_and_bundles_come_down(
    service: SteadyRank, database: Database, blobs: DatabaseBlobStore, tmp_path: Path
) -> None:
    first, second = (store_models(database, blobs)[0] for _ in range(2))
    assert service.models.check_alias(NAME, "production", 1)["valid"] is True
    assert service.models.aliases(NAME) == ()
    assert service.models.set_alias(NAME, "production", 1).model == first
    with pytest.raises(ConflictError) as refused:
        service.models.set_alias(
            NAME, "production", second, promote_if=[{"metric": "test.ndcg@10", "at_least": 0.5}]
        )
    assert refused.value.code == "gate_refused"
    assert refused.value.extra["checks"][0]["missing_by"] == pytest.approx(0.3)
    assert service.models.set_alias(NAME, "production", second).version == 2
    assert [alias.alias for alias in service.models.aliases(NAME)] == ["production"]
    assert len(service.models.alias(NAME, "production").history) == 2
    reference = f"{NAME}@production"
    assert service.models.get(reference).id == second
    assert [model.id for model in service.models.list(name=NAME, alias="production")] == [second]
    assert [model.id for model in service.models.list(name=NAME, version=1)] == [first]
    assert service.models.card(reference) == CARD
    target = service.models.download_bundle(reference, tmp_path / "model.zip")
    whole = target.read_bytes()
    with zipfile.ZipFile(target) as archive:
        assert archive.read("items.json") == model_files()["items.json"]
    target.with_name("again.zip.part").write_bytes(whole[:500])
    assert service.models.download_bundle(second, tmp_path / "again.zip").read_bytes() == whole
    assert service.models.rename(first, "next film").version == 1
    assert service.models.delete_alias(NAME, "production")["deleted"] is True


def test_a_check_answers_as_the_move_would(
    service: SteadyRank, service_url: str, database: Database, blobs: DatabaseBlobStore
) -> None:
    for ndcg in (0.2, 0.05):
        store_models(database, blobs, metrics={"test": {"ndcg@10": ndcg}})
    with database.unit_of_work() as session:
        submitter = create_key(session, name="ci", scopes=["submit"])[1]
    strict: list[Condition] = [{"metric": "test.ndcg@10", "at_least": 0.1}]
    lax: list[Condition] = [{"metric": "test.ndcg@10", "at_least": 0.01}]
    service.models.set_alias(NAME, "production", 1, promote_if=strict, keep_gates=True)
    with SteadyRank(service_url, submitter) as other:
        for client, given, code in (
            (service, {"promote_if": lax}, "gate_refused"),
            (other, {"promote_if": lax, "keep_gates": True}, "insufficient_scope"),
            (other, {"force": True}, "insufficient_scope"),
        ):
            for ask in (client.models.check_alias, client.models.set_alias):
                with pytest.raises((ConflictError, ForbiddenError)) as refused:
                    ask(NAME, "production", 2, **given)
                assert refused.value.code == code
    models = service.models
    (failed,) = models.check_alias(NAME, "production", 2, force=True)["checks"]
    assert failed["passed"] is False
    (passed,) = models.check_alias(NAME, "production", 2, promote_if=lax, keep_gates=True)["checks"]
    assert passed["needed"] == 0.01
    unmoved = models.alias(NAME, "production")
    assert (unmoved.version, [gate["at_least"] for gate in unmoved.gates]) == (1, [0.1])
    assert models.set_alias(NAME, "production", 2, promote_if=lax, keep_gates=True).version == 2


def test_the_same_key_asks_once(
    service: SteadyRank, service_url: str, api_key: str, database: Database, blobs: DatabaseBlobStore
) -> None:
    (model,) = store_models(database, blobs)
    with database.unit_of_work() as session:
        dataset = make_ready_dataset(session, blobs).id
    with SteadyRank(service_url, api_key) as other:
        batches = [
            client.models.recommend_batch(model, dataset, idempotency_key="nightly")
            for client in (service, other)
        ]
        evaluations = [
            client.evaluations.create(model, dataset, idempotency_key="nightly")
            for client in (service, other)
        ]
        with pytest.raises(ValidationFailedError, match="idempotency_key_reused"):
            other.models.recommend_batch(model, dataset, k=3, idempotency_key="nightly")
        with pytest.raises(ValidationFailedError, match="idempotency_key_reused"):
            other.evaluations.create(model, dataset, k_core=3, idempotency_key="nightly")
    assert [batch.id for batch in service.models.batches(model)] == [batches[0].id] == [batches[1].id]
    assert [row.id for row in service.evaluations.list()] == [evaluations[0].id] == [evaluations[1].id]


def test_a_checkpoint_comes_down(
    service: SteadyRank, database: Database, blobs: DatabaseBlobStore, tmp_path: Path
) -> None:
    data = bytes(range(256)) * 9000
    with database.unit_of_work() as session:
        job = make_job(session, make_ready_dataset(session, blobs))
        blob = blobs.put(session, data)
        kept = {"attempt": 1, "kind": "best", "seed": 0, "arm": "standard", "epoch": 3, "step": 9}
        session.add(Checkpoint(job_id=job.id, blob_id=blob.id, bytes=blob.size, sha256=blob.sha256, **kept))
    (found,) = service.jobs.checkpoints(job.id)
    assert service.jobs.checkpoint(found.id) == found
    (tmp_path / "a.part").write_bytes(data[:70_000])
    assert service.jobs.download_checkpoint(found, tmp_path / "a").read_bytes() == data
    assert service.jobs.download_checkpoint(found.id, tmp_path / "b").read_bytes() == data
    assert found.sha256 == hashlib.sha256(data).hexdigest()


def test_the_command_promotes_and_bundles(
    database: Database, blobs: DatabaseBlobStore, tmp_path: Path, surroundings: None
) -> None:
    (model_id,) = store_models(database, blobs)

    def run(*args: str) -> tuple[int, str]:
        result = CliRunner().invoke(command, ["models", *args])
        return result.exit_code, result.output

    code, said = run("promote", NAME, "1", "production", "--promote-if", "test.ndcg@10:at_least:0.1")
    assert (code, model_id in said) == (0, True)
    assert "production" in run("aliases", NAME)[1]
    target = tmp_path / "model.zip"
    assert run("bundle", f"{NAME}@production", str(target))[0] == 0
    assert zipfile.is_zipfile(target)
    assert run("promote", NAME, "1", "production", "--promote-if", "nonsense")[0] != 0
