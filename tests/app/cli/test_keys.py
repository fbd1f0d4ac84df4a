from __future__ import annotations

import pytest

from app.accounts.service import authenticate
from app.config import get_settings
from app.db.session import Database
from app.errors import Unauthorized


@pytest.fixture
def own_database(monkeypatch, database_url):
    """The commands' database is this test's."""
    point_at(monkeypatch, database_url)
    yield database_url
    get_settings.cache_clear()


def point_at(monkeypatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    get_settings.cache_clear()


def project_of(url: str, secret: str) -> str:
    database = Database(url)
    try:
        with database.unit_of_work() as session:
            return authenticate(session, secret).project_id
    finally:
        database.dispose()


def test_a_key_is_made_listed_and_revoked(own_database, cli):
    made = cli("keys", "create", "--name", "laptop")
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    assert project_of(own_database, secret)
    (listed,) = cli.json("keys", "list")
    assert (listed["name"], listed["revoked_at"]) == ("laptop", None)
    assert secret not in str(listed)
    assert cli("keys", "revoke", listed["id"]).exit_code == 0
    assert cli("keys", "revoke", listed["id"]).exit_code == 0, "twice is harmless"
    with pytest.raises(Unauthorized):
        project_of(own_database, secret)


def test_a_key_of_another_project(own_database, cli):
    first = cli.json("keys", "create")
    second = cli.json("keys", "create", "--project", "search")
    assert first["project_id"] != second["project_id"]
    assert project_of(own_database, second["secret"]) == second["project_id"]


def test_an_unknown_key_is_2(own_database, cli):
    result = cli("keys", "revoke", "key_nothing")
    assert result.exit_code == 2
    assert "There is no api_key 'key_nothing'" in result.stderr


def test_migrating_makes_the_schema_and_says_which(monkeypatch, empty_database_url, cli):
    point_at(monkeypatch, empty_database_url)
    try:
        missing = cli("keys", "list")
        assert missing.exit_code == 2
        assert "steadyrank migrate" in missing.stderr
        done = cli("migrate")
        assert done.exit_code == 0, done.output
        assert "The database is at revision" in done.stdout
        assert cli.json("keys", "list") == []
    finally:
        get_settings.cache_clear()


@pytest.mark.parametrize("command", [("migrate",), ("keys", "list")])
def test_a_database_that_is_not_there_is_3(monkeypatch, cli, command):
    point_at(monkeypatch, "postgresql://nobody:hidden@127.0.0.1:1/nothing")
    try:
        result = cli(*command)
    finally:
        get_settings.cache_clear()
    assert result.exit_code == 3
    assert "cannot be reached" in result.stderr
    assert "hidden" not in result.output


def test_a_wrong_address_is_refused_without_its_password(monkeypatch, cli):
    point_at(monkeypatch, "mysql://root:hidden@127.0.0.1/nothing")
    try:
        result = cli("keys", "list")
    finally:
        get_settings.cache_clear()
    assert result.exit_code == 2
    assert "DATABASE_URL: " in result.stderr
    assert "hidden" not in result.output


def test_no_database_at_all_says_how_to_get_one(monkeypatch, cli, tmp_path):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("STEADYRANK_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    try:
        result = cli("keys", "list")
    finally:
        get_settings.cache_clear()
    assert result.exit_code == 2
    assert "steadyrank up" in result.stderr
