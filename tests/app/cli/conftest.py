from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer
from typer.testing import CliRunner, Result

from app.cli import main


class Peer:
    """A service on loopback that answers what a test says, by method and path; the last answer stays."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.bodies: list[Any] = []
        self.queries: list[str] = []
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size)
                if self.headers.get("Content-Type") == "application/json" and body:
                    peer.bodies.append(json.loads(body))
                peer.queries.append(urlsplit(self.path).query)
                left = peer.answers[f"{self.command} {urlsplit(self.path).path}"]
                status, value = left.pop(0) if len(left) > 1 else left[0]
                payload = value.encode() if isinstance(value, str) else json.dumps(value).encode()
                self.send_response(status)
                asked = self.headers.get("Accept", "*/*")
                text = isinstance(value, str)
                self.send_header("Content-Type", asked if text and asked != "*/*" else "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, format: str, *args: object) -> None:
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def on(self, request: str, *answers: tuple[int, Any]) -> None:
        self.answers[request] = list(answers)


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    made = Peer()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("STEADYRANK_URL", made.url)
    monkeypatch.setenv("STEADYRANK_API_KEY", "sr_secret")
    monkeypatch.setenv("STEADYRANK_DATA_DIR", str(tmp_path_factory.mktemp("no-service")))
    monkeypatch.setenv("COLUMNS", "160")
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


class Cli:
    """Runs the command in this process."""

    def __call__(self, *arguments: str, app: typer.Typer = main.app) -> Result:
        return CliRunner().invoke(app, list(arguments), prog_name="steadyrank")

    def json(self, *arguments: str) -> Any:
        result = self(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def cli() -> Cli:
    return Cli()
