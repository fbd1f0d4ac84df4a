"""A stored model measured on a second data set, from HTTP through the broker to a real measuring worker."""

from __future__ import annotations

import io

import httpx
import polars as pl
import pytest

from app.accounts.service import create_key
from app.main import create_app
from tests.e2e.conftest import Workshop, interactions
from tests.factories import make_ready_dataset
from tests.serving import served
from tests.trained_jobs import train_job
from worker.resources import Resources

pytestmark = pytest.mark.slow


def stored(workshop: Workshop, log: pl.DataFrame, name: str) -> str:
    parquet = io.BytesIO()
    log.write_parquet(parquet)
    with workshop.database.unit_of_work() as session:
        made = make_ready_dataset(
            session, workshop.blobs, canonical=parquet.getvalue(), name=name, data=log.write_csv().encode()
        )
        return made.id


def test_a_second_data_set_with_unknown_items(workshop: Workshop) -> None:
    resources = Resources(workshop.settings, workshop.database, workshop.blobs)
    first = stored(workshop, interactions(), "first.csv")
    _, (_, model) = train_job(resources, first)
    other = interactions(users=50, items=44, seed=8).with_columns(pl.col("user") + "-later")
    second = stored(workshop, other, "second.csv")
    with workshop.database.unit_of_work() as session:
        headers = {"Authorization": f"Bearer {create_key(session, name='test')[1]}"}
    workshop.start(
        "celery", "-A", "worker.celery_app", "worker", "-Q", "measure", "-n", "m@test", name="measure"
    )
    with (
        served(create_app(workshop.settings)) as url,
        httpx.Client(base_url=url, headers=headers, timeout=30) as client,
    ):
        body = {"model": "films-sasrec-cascade@1", "dataset": second, "attack_positions": ["end", "start"]}
        created = client.post("/v1/evaluations", json=body)
        assert created.status_code == 201, created.text
        path = f"/v1/evaluations/{created.json()['id']}"
        workshop.wait(lambda: client.get(path).json()["status"] in {"succeeded", "failed"})
        done, report = client.get(path).json(), client.get(f"{path}/report").json()
    assert (done["status"], done["error"], done["model"]) == ("succeeded", None, model)
    assert sorted(report["unknown"]["examples"]) == ["i40", "i41", "i42", "i43"]
    assert report["training"] == {"checked": True, "targets_in_training": 0}
    assert {row["position"] for row in report["arms"]["cascade"]["attacks"]} == {"end", "start"}
    assert set(report["baselines"]) == {"popularity", "markov"}
