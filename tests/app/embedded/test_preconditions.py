from __future__ import annotations

import socket
import sys

import pytest

from app.embedded.errors import EmbeddedError
from app.embedded.preconditions import FreePort

HOST = "127.0.0.1"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is let go of at once")
def test_a_free_port_is_kept_for_the_api_until_it_listens() -> None:
    port = FreePort(HOST, 0)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((HOST, port.number))
    with socket.create_server((HOST, port.number)) as api:  # as uvicorn does: the address may be used again
        port.release()
        with socket.create_connection((HOST, port.number)):
            api.accept()[0].close()


def test_a_port_that_somebody_listens_on_is_refused_with_what_to_do() -> None:
    with socket.create_server((HOST, 0)) as listener:
        number = listener.getsockname()[1]
        with pytest.raises(EmbeddedError, match=f"Cannot listen on {HOST}, port {number}") as refused:
            FreePort(HOST, number)
    assert "--port" in refused.value.hint


def test_a_host_of_another_machine_is_refused() -> None:
    with pytest.raises(EmbeddedError, match=r"Cannot listen on 192\.0\.2\.1"):
        FreePort("192.0.2.1", 0)
