"""What an operation takes is gathered once; what is refused: test_hostile_requests.py."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import anyio
import httpx
import pytest
from fastapi import Depends, FastAPI, Query
from fastapi.dependencies.models import Dependant

from app import query_parameters
from app.problems import add_problem_handlers
from app.query_parameters import RefuseUnknown


def test_parameters_are_gathered_once_for_each_route(monkeypatch: pytest.MonkeyPatch) -> None:
    application = FastAPI(dependencies=[Depends(RefuseUnknown())])
    add_problem_handlers(application)

    def show(name: Annotated[list[str] | None, Query()] = None, after: str = "") -> list[str]:
        return [*(name or ()), after]

    def find(after: str = "") -> str:
        return after

    gathered: Counter[str | None] = Counter()
    gather = query_parameters.parameters_of

    def counting(dependant: Dependant) -> dict[str, bool]:
        gathered[dependant.path] += dependant.call in (show, find)  # it goes through their dependencies too
        return gather(dependant)

    monkeypatch.setattr(query_parameters, "parameters_of", counting)
    # One function on two paths, where `after` is of the query once, and of the path once.
    application.get("/show")(show)
    application.get("/found")(find)
    application.get("/found/{after}")(find)

    async def ask() -> list[tuple[int, str | None]]:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            paths = ("/show?name=a&name=b", "/show?nam=a", "/found?after=a", "/found/a?after=b", "/found")
            answers = [await client.get(path) for path in paths * 2]
        codes = [answer.json()["errors"][0]["code"] if answer.is_error else None for answer in answers]
        return [(answer.status_code, code) for answer, code in zip(answers, codes, strict=True)]

    unknown = (422, "unknown_field")
    assert anyio.run(ask) == [(200, None), unknown, (200, None), unknown, (200, None)] * 2
    assert gathered["/show"] == gathered["/found"] == gathered["/found/{after}"] == 1
