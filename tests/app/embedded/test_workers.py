"""The address of each of several pytest processes, on a broker that is given from outside."""

from __future__ import annotations

import pytest

from tests.conftest import broker_of_worker


@pytest.mark.parametrize(
    ("given", "worker", "used"),
    [
        ("redis://:word@host:6379/3?protocol=3", "master", "redis://:word@host:6379/3?protocol=3"),
        ("redis://:word@host:6379/3?protocol=3", "gw2", "redis://:word@host:6379/5?protocol=3"),
        ("rediss://host", "gw1", "rediss://host/1"),
        ("unix:///run/redis.sock", "gw0", "unix:///run/redis.sock"),
    ],
)
def test_each_pytest_process_has_a_number_of_its_own(given: str, worker: str, used: str) -> None:
    assert broker_of_worker(given, worker) == used


def test_a_socket_has_no_numbers_to_hand_out() -> None:
    with pytest.raises(pytest.UsageError, match="-n 0"):
        broker_of_worker("unix:///run/redis.sock", "gw1")
