from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from app.sdk.client import SteadyRank

Answer = httpx.Response | httpx.TransportError


class Script:
    """Answers requests in turn, from a list; what arrived and how long the client slept are kept."""

    def __init__(self) -> None:
        self.answers: list[Answer | Callable[[httpx.Request], httpx.Response]] = []
        self.requests: list[httpx.Request] = []
        self.bodies: list[bytes] = []
        self.slept: list[float] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.bodies.append(request.read())
        answer = self.answers.pop(0)
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)


@pytest.fixture(autouse=True)
def _no_service_around(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the machine's own service, address and key out of these tests."""
    monkeypatch.delenv("STEADYRANK_URL", raising=False)
    monkeypatch.delenv("STEADYRANK_API_KEY", raising=False)
    monkeypatch.setenv("STEADYRANK_DATA_DIR", str(tmp_path_factory.mktemp("no-service")))


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def client(script: Script) -> Iterator[SteadyRank]:
    """A client whose network is the script."""
    transport = httpx.MockTransport(script.handle)
    with SteadyRank(
        "http://service.test",
        "sr_secret",
        max_retries=3,
        transport=transport,
        sleep=script.slept.append,
    ) as made:
        yield made


@pytest.fixture
def timed(client: SteadyRank, script: Script) -> SteadyRank:
    """The client, on a clock that only its own sleep, and each request by a second, moves on."""

    def clock() -> float:
        return sum(script.slept) + len(script.requests)

    client._transport.clock = clock
    return client
