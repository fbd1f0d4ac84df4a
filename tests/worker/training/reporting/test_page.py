"""The HTML report: valid, self-contained, the verdict first, texts from outside escaped."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.reports import real_report
from worker.training.reporting.figures import draw_figures
from worker.training.reporting.markdown import render_markdown
from worker.training.reporting.page import render_page

VOID = {"meta", "link", "br", "img", "hr", "input"}
EVIL = "</pre><script>alert('x')</script>"


class Checker(HTMLParser):
    """Tells unclosed tags, double ids, and everything that would be loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        if len(set(names)) != len(names):
            self.faults.append(f"<{tag}> has an attribute twice")
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"src", "href", "action", "data"}:
                self.references.append(value or "")
            if name.startswith("on"):
                self.faults.append(f"<{tag}> has {name}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.faults == []
    assert checker.open == []
    return checker


@pytest.fixture(scope="module")
def page() -> str:
    report = copy.deepcopy(real_report())
    report["spec"]["model"] = EVIL
    report["environment"]["platform"] = EVIL
    report["warnings"] = [{"code": "x", "arm": "standard", "message": EVIL}]
    report["cascade"]["example"]["items"][0] = EVIL
    return render_page(report, draw_figures(report))


def test_stability_stands_on_the_page_and_in_markdown_where_it_was_measured(page: str) -> None:
    report = real_report()
    row = report["stability"]["arms"]["cascade"]["changes"][2]
    cells = ["cascade", "one replaced, at random", "1"]
    cells += [f"{row[name]:.4f}" for name in ("jaccard", "rbo", "top1_changed", "ndcg@10")]
    assert f"| {' | '.join(cells)} |" in render_markdown(report)
    for cell in cells:
        assert cell in checked(page).text
    without = {**report, "stability": None}
    assert "tability" not in render_markdown(without).replace("stability_", "")
    plain = render_page(without, [])
    checked(plain)
    assert 'id="stability"' not in plain
    cut = {**report, "stability": {**report["stability"], "complete": False}}
    assert "time was over before all trainings were done" in render_markdown(cut)


def test_it_is_valid_and_loads_nothing(page: str) -> None:
    assert page.lstrip().startswith("<!DOCTYPE html>")
    found = checked(page)
    assert "script" not in found.tags
    assert found.tags.count("title") == 1 + found.tags.count("svg")
    assert len(found.ids) == len(set(found.ids))
    assert {reference[1:] for reference in found.references} <= set(found.ids)
    assert all(reference.startswith("#") for reference in found.references)
    assert not re.search(r"url\((?!#)|@import", page)
    assert "default-src 'none'" in page


def test_texts_from_outside_are_escaped(page: str) -> None:
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 4


def test_the_verdict_comes_first_then_tables_figures_and_protocol() -> None:
    report = real_report()
    figures = draw_figures(report)
    page = render_page(report, figures)
    text = " ".join("".join(checked(page).text).split())
    places = [
        text.index(part)
        for part in (
            "Cascade against standard",
            "How to read it",
            "Learning curves.",
            "Differences between arms",
        )
    ]
    assert places == sorted(places)
    assert text.index(report["verdict"][:40]) < places[1]
    assert text.count(report["protocol_hash"]) == 1
    for name, body in (report["arms"] | report["baselines"]).items():
        assert name in text
        assert f"{body['test']['hr@10']:.4f}" in text
    assert page.count("<figure>") == len(figures)
    assert "@media print" in page
    assert "prefers-color-scheme: dark" in page


def test_one_arm_alone_has_a_page(page: str) -> None:
    report: dict[str, Any] = copy.deepcopy(real_report())
    report["arms"].pop("cascade")
    report["comparisons"], report["costs"] = [], []
    assert "Nothing to compare: one arm was trained." in render_page(report, [])
