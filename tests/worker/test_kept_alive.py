"""A claim is renewed while its holder is busy, and no longer."""

from __future__ import annotations

import threading

from worker.kept_alive import kept_alive


def test_it_is_renewed_until_the_block_ends_whatever_one_try_does() -> None:
    tries, enough = [], threading.Event()

    def renew() -> bool:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError
        if len(tries) == 3:
            enough.set()
        return True

    with kept_alive(renew, seconds=0.001, what="a data set"):
        assert enough.wait(30)
    assert not any(thread.name == "heartbeat" for thread in threading.enumerate())


def test_one_that_is_gone_is_not_asked_for_again() -> None:
    tries, asked = [], threading.Event()

    def renew() -> bool:
        tries.append(1)
        asked.set()
        return False

    with kept_alive(renew, seconds=0.001, what="a data set"):
        assert asked.wait(30)
        for thread in threading.enumerate():
            if thread.name == "heartbeat":
                thread.join(30)
                assert not thread.is_alive()
    assert tries == [1]
