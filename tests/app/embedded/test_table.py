from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded.table import POSTGRES, VALKEY, answers, local_url, service_table


def test_the_table_has_each_worker_once_and_stops_the_api_first(tmp_path: Path) -> None:
    table = service_table(
        tmp_path, host="127.0.0.1", port=1, workers=2, grace=1, environment={"DATABASE_URL": "d"}
    )
    assert [spec.name for spec in table] == ["api", "reaper", "train1", "train2", "light", "measure"]
    stages = {spec.name: spec.stage for spec in table}
    assert stages["api"] > stages["train1"] == stages["light"] > stages["reaper"] > VALKEY > POSTGRES
    assert {spec.environment["DATABASE_URL"] for spec in table} == {"d"}
    assert {spec.environment["STEADYRANK_DATA_DIR"] for spec in table} == {str(tmp_path)}
    assert len({spec.log for spec in table}) == len(table)


def test_without_what_workers_need_there_are_none(tmp_path: Path) -> None:
    table = service_table(tmp_path, host="127.0.0.1", port=1, workers=None, grace=1, environment={})
    assert [spec.name for spec in table] == ["api", "reaper"]


def test_each_worker_takes_one_queue_and_stops_promptly(tmp_path: Path) -> None:
    workers = service_table(tmp_path, host="127.0.0.1", port=1, workers=1, grace=6, environment={})[2:]
    for spec, queue in zip(workers, ("train", "light", "measure"), strict=True):
        command = list(spec.command)
        assert command[command.index("-Q") + 1] == queue
        assert command[command.index("--pool") + 1] == "solo"
        assert spec.stop_seconds > 6
        assert spec.environment["REMAP_SIGTERM"] == "SIGQUIT"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104 - only compared
        ("::", "http://[::1]:80"),
        ("localhost", "http://localhost:80"),
    ],
)
def test_the_local_address_of_what_listens_everywhere_is_loopback(host: str, url: str) -> None:
    assert local_url(host, 80) == url


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = {"/ok": (200, b"{}"), "/text": (200, b"hello")}.get(self.path, (503, b"{}"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_only_a_json_200_is_an_answer_and_no_proxy_is_asked(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert answers(f"{server}/ok")
    assert not answers(f"{server}/text")
    assert not answers(f"{server}/down")
    assert not answers("http://127.0.0.1:1/ok")
