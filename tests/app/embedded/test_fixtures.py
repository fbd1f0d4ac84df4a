from __future__ import annotations

import psycopg
import redis
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url


def test_each_test_gets_an_empty_database_of_its_own_in_utf8(empty_database_url: str) -> None:
    engine = create_engine(empty_database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE left_behind (name text)"))
        encoding, zone = connection.execute(
            text(
                "SELECT pg_encoding_to_char(encoding), current_setting('timezone') FROM pg_database "
                "WHERE datname = current_database()"
            )
        ).one()
    engine.dispose()
    assert encoding == "UTF8"
    assert zone == "UTC"


def test_nothing_of_the_test_before_is_left(empty_database_url: str) -> None:
    address = make_url(empty_database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (0,)


def test_a_broker_starts_empty(broker_url: str) -> None:
    with redis.Redis.from_url(broker_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_a_broker_starts_empty_again(broker_url: str) -> None:
    with redis.Redis.from_url(broker_url) as client:
        assert client.dbsize() == 0
