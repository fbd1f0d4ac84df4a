"""Ids and names are written as they are: what looks like markup or an emoji is neither."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.cli.output import print_fields, print_rows

ROOT = Path(__file__).resolve().parents[2]


def test_an_id_with_colons_is_no_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(("id", "item"), [("u:bug:1", "a:cat:1")], empty="")
    print_fields([("name", "ds:x:1")])
    said = capsys.readouterr().out
    assert "u:bug:1" in said
    assert "a:cat:1" in said
    assert "ds:x:1" in said


def test_a_narrow_terminal_cuts_no_status_and_no_figure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    row = ("job_01m8pf6k5yac3fxza1k8wb0kpg", "[green]succeeded[/]", "100 %", "a long name " * 5, "x" * 30)
    print_rows(("id", "status", "done", "name", "model"), [row, row], empty="")
    heading, first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert first.startswith("job_01m8pf6k5yac3fxza1k8wb0kpg  succeeded  100 %  a long ")
    assert {len(heading.rstrip()), len(first)} <= set(range(81))


def test_every_console_is_made_in_one_place() -> None:
    bare = re.compile(r"(?<!new_)\bConsole\(")
    found = [
        path.relative_to(ROOT).as_posix()
        for folder in ("app", "worker")
        for path in (ROOT / folder).rglob("*.py")
        if bare.search(path.read_text("utf-8"))
    ]
    assert found == ["app/console.py"]


@pytest.mark.parametrize("columns", ["50", "60", "80", "200"])
def test_an_id_is_never_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    row = (
        "job_01m8pf6k5yac3fxza1k8wb0kpg",
        "succeeded",
        "100 %",
        "name",
        "sasrec",
        "standard",
        "2026-11-30 18:00",
    )
    print_rows(("id", "status", "done", "name", "model", "arms", "created"), [row], empty="")
    assert "job_01m8pf6k5yac3fxza1k8wb0kpg" in capsys.readouterr().out
