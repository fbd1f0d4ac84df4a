"""The dashboard's files: served without a key, closed to everything from elsewhere, and true to the API."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

import app.dashboard
from tests.problems import problem

PAGE = Path(app.dashboard.__path__[0]) / "page"
MODULES = sorted(PAGE.glob("*.js"))


def test_the_page_and_its_files_need_no_key(anonymous: httpx.Client) -> None:
    moved = anonymous.get("/dashboard")
    assert (moved.status_code, moved.headers["location"]) == (308, "dashboard/")
    page = anonymous.get("/dashboard", follow_redirects=True)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:href|src)="([\w.]+)"', page.text)
    assert {"main.js", "dashboard.css"} <= set(named)
    for name in [*named, *(path.name for path in MODULES)]:
        found = anonymous.get(f"/dashboard/{name}")
        assert (found.status_code, found.content) == (200, (PAGE / name).read_bytes())
        known = anonymous.get(f"/dashboard/{name}", headers={"If-None-Match": found.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")


@pytest.mark.parametrize("path", ["nothing.js", "..%2Froutes.py", "__init__.py", "%2e%2e/routes.py"])
def test_nothing_else_is_served(anonymous: httpx.Client, path: str) -> None:
    problem(anonymous.get(f"/dashboard/{path}"), 404, "not_found")


def test_nothing_from_elsewhere_and_nothing_inline_runs(anonymous: httpx.Client) -> None:
    page = anonymous.get("/dashboard/")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert not re.search(
        r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)|//", page.text.replace("<!DOCTYPE", "")
    )


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_what_the_service_sends_stays_text(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function", text)
    assert "localStorage" not in text  # a key goes with its tab


def test_every_path_that_it_asks_for_is_one_of_the_api(application: FastAPI) -> None:
    known = {re.sub(r"{\w+}", "*", path) for path in application.openapi()["paths"]}
    asked = {
        re.sub(r"\${[^}]*}", "*", path)
        for module in MODULES
        for path in re.findall(r"[\"`](/v1/[^\"`?]*)[\"`]", module.read_text(encoding="utf-8"))
    }
    steps = {"/v1/jobs/*/" + word for word in ("pause", "resume", "cancel", "retry")}
    assert len(asked) > 10
    assert (asked - {"/v1/jobs/*/*"}) | steps <= known
