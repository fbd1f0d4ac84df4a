from __future__ import annotations

import httpx
import pytest
from sqlalchemy import text

from app.config import Settings
from app.db.session import Database
from app.main import create_app
from tests.serving import served


def test_alive_and_ready(anonymous: httpx.Client) -> None:
    assert anonymous.get("/healthz").json() == {"status": "ok"}
    response = anonymous.get("/readyz")
    assert response.status_code == 200
    assert response.json()["checks"] == {"database": "ok", "broker": "ok"}


@pytest.mark.parametrize(
    ("broken", "down"),
    [
        ({"redis_url": "redis://127.0.0.1:1/0"}, "broker"),
        ({"database_url": "postgresql+psycopg://nobody:hunter2@127.0.0.1:1/none"}, "database"),
    ],
)
def test_names_what_is_down(settings: Settings, broken: dict[str, str], down: str) -> None:
    with served(create_app(settings.model_copy(update=broken))) as url:
        assert httpx.get(f"{url}/healthz", timeout=30).status_code == 200
        response = httpx.get(f"{url}/readyz", timeout=20)
        assert response.status_code == 503
        body = response.json()
        assert down in body["detail"]
        assert body["retryable"] is True
        assert response.headers["retry-after"]
        assert {name for name, outcome in body["checks"].items() if outcome != "ok"} == {down}
        assert "hunter2" not in response.text


def test_a_database_that_is_down_is_a_503_and_not_a_500(settings: Settings) -> None:
    broken = settings.model_copy(update={"database_url": "postgresql+psycopg://x:y@127.0.0.1:1/none"})
    with served(create_app(broken)) as url:
        response = httpx.get(f"{url}/v1/datasets", headers={"Authorization": "Bearer sr_x"}, timeout=20)
        assert (response.status_code, response.json()["code"]) == (503, "unavailable")


def test_an_old_schema_is_not_ready(anonymous: httpx.Client, database: Database) -> None:
    with database.unit_of_work() as session:
        head = session.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    try:
        response = anonymous.get("/readyz")
        assert response.status_code == 503
        assert "0000" in response.json()["checks"]["database"]
    finally:
        with database.unit_of_work() as session:
            session.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": head})
