"""Models and checkpoints through the SDK and the command, against the real service."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app as command
from app.db.models.checkpoint import Checkpoint
from app.db.session import Database
from app.sdk.client import SteadyRank
from app.sdk.errors import ConflictError
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
