"""Requests to a real receiver: where they go, how long they may take, what counts as a success."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from app.webhooks import addresses, sending
from app.webhooks.sending import RESPONSE_BYTES, Outcome, post


def send(url: str, *, timeout: float = 5.0, allow_private: bool = True) -> Outcome:
    return post(url, {"x-test": "1"}, b'{"a":1}', timeout=timeout, allow_private=allow_private)


@pytest.mark.parametrize(
    ("status", "good"), [(200, True), (204, True), (299, True), (302, False), (404, False), (500, False)]
)
def test_a_2xx_is_a_success(receiver: Any, status: int, good: bool) -> None:
    receiver.answer(status, headers={"Location": receiver.url + "/elsewhere"})
    outcome = send(receiver.url)
    assert (outcome.status_code, outcome.error is None) == (status, good)
    (arrived,) = receiver.received  # a redirect was not followed
    assert (arrived.path, arrived.body, arrived.headers["x-test"]) == ("/hook", b'{"a":1}', "1")


def test_a_long_answer_is_read_up_to_a_kilobyte(receiver: Any) -> None:
    receiver.answer(500, body=b"\0\xff" + b"x" * 5_000_000)
    outcome = send(receiver.url)
    assert outcome.response == "\ufffd\ufffd" + "x" * (RESPONSE_BYTES - 2)


@pytest.mark.parametrize(("status", "asked"), [(503, 120.0), (429, 120.0), (500, None)])
def test_retry_after_is_heard(receiver: Any, status: int, asked: float | None) -> None:
    receiver.answer(status, headers={"Retry-After": "120"})
    assert send(receiver.url).retry_after == asked


def test_a_private_address_is_not_even_connected_to(receiver: Any) -> None:
    outcome = send(receiver.url, allow_private=False)
    assert (outcome.status_code, receiver.received) == (None, [])
    assert outcome.error == "'127.0.0.1' is 127.0.0.1, which is private"


def test_a_name_is_looked_up_once_and_connected_to_at_that_address(
    receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that answers differently the second time (DNS rebinding) is never asked a second time."""
    port, asked = receiver.url.split(":")[2].split("/")[0], []

    def lookup(host: str, at: int, seconds: float) -> list[str]:
        asked.append((host, at))
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    monkeypatch.setattr(addresses, "lookup", lookup)
    outcome = send(f"http://hooks.example:{port}/hook")
    assert (outcome.status_code, asked) == (204, [("hooks.example", int(port))])
    assert receiver.received[0].headers["Host"] == f"hooks.example:{port}"
    assert send(f"http://hooks.example:{port}/hook").error is not None  # each attempt checks anew
    assert len(receiver.received) == 1


def test_the_next_address_is_tried_when_the_first_is_dead(
    receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "lookup", lambda host, port, seconds: ["127.0.0.2", "127.0.0.1"])
    assert send(receiver.url.replace("127.0.0.1", "hooks.example")).status_code == 204


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://no-such-host.invalid/", "https://127.0.0.1:{port}/"]
)
def test_what_cannot_be_reached_is_a_failure_with_a_reason(receiver: Any, url: str) -> None:
    outcome = send(url.format(port=receiver.url.split(":")[2].split("/")[0]))
    assert outcome.status_code is None
    assert outcome.error


def test_a_receiver_that_drips_does_not_hold_a_sender() -> None:
    """Every read gets a byte in time; it is the whole that takes too long."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    for letter in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000:
                        connection.sendall(bytes([letter]))
                        time.sleep(0.05)
                except OSError:
                    return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        outcome = send(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=1.0)
        thread.join(60)
    assert outcome.error == "no answer within 1 s"
    assert outcome.seconds < 20  # by itself it drips for 50


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
@pytest.mark.parametrize(("name", "good"), [("hooks.example", True), ("other.example", False)])
def test_the_certificate_is_that_of_the_name_not_of_the_address(
    name: str, good: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1")
    of_whom = ("-subj", "/CN=hooks.example", "-addext", "subjectAltName=DNS:hooks.example")
    command = ["openssl", "req", "-x509", *kind, *of_whom, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    asked_for: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.sni_callback = lambda _, server_name, __: asked_for.append(server_name)
    monkeypatch.setattr(addresses, "lookup", lambda host, port, seconds: ["127.0.0.1"])
    monkeypatch.setattr(sending, "_trust", lambda: ssl.create_default_context(cafile=str(certificate)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def answer_once() -> None:
            connection, _ = listener.accept()
            try:
                with context.wrap_socket(connection, server_side=True) as secure:
                    arrived = b""
                    while not arrived.endswith(b"}"):
                        arrived += secure.recv(65536)
                    secure.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            except ssl.SSLError:
                return

        thread = threading.Thread(target=answer_once, daemon=True)
        thread.start()
        outcome = send(f"https://{name}:{listener.getsockname()[1]}/")
        thread.join(60)
    assert (outcome.status_code, asked_for) == (204 if good else None, [name])
    assert good or "certificate" in (outcome.error or "")
