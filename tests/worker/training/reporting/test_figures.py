"""Figures: the same bytes for the same report, well-formed, readable aloud, safe with any item id."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from tests.reports import real_report
from worker.training.reporting.figures import draw_figures
from worker.training.reporting.plotting import Figure
from worker.training.reporting.svg import INK, standalone

SVG = "{http://www.w3.org/2000/svg}"


def parsed(text: str | bytes) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own drawing, without a document type


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    report = copy.deepcopy(real_report())
    report["cascade"]["example"]["items"][:3] = [
        "$\\frac{<script>alert(1)</script>",
        "bell\x07\x1b",
        "映画" * 20,
    ]
    return report


@pytest.fixture(scope="module")
def figures(report: dict[str, Any]) -> list[Figure]:
    return draw_figures(report)


def test_there_is_a_figure_for_each_thing_to_see(figures: list[Figure]) -> None:
    assert [figure.name for figure in figures] == [
        "learning_curves",
        "robustness_uniform",
        "robustness_popularity",
        "pareto",
        "cascade_effects",
        "example_weights",
    ]


def test_figures_are_one_well_formed_page_of_elements_with_names_of_their_own(figures: list[Figure]) -> None:
    page = parsed("<div>" + "".join(figure.svg for figure in figures) + "</div>")
    ids = [element.get("id") for element in page.iter() if element.get("id")]
    assert len(ids) == len(set(ids)) > 100
    for figure in figures:
        # Whatever a figure refers to is in it.
        root = parsed(figure.svg)
        own = {element.get("id") for element in root.iter()}
        used = [element.get("href", "#")[1:] for element in root.iter(f"{SVG}use")]
        assert set(used) <= own
        assert all(f"{figure.name}-" in reference for reference in used)


def test_figures_are_read_aloud_and_follow_the_reader_s_colours(figures: list[Figure]) -> None:
    for figure in figures:
        root = parsed(standalone(figure.svg))
        assert root.get("role") == "img"
        named = {root.find(f"{SVG}title"): figure.title, root.find(f"{SVG}desc"): figure.description}
        for element, said in named.items():
            assert element is not None
            assert element.text == said
            assert element.get("id") in root.get("aria-labelledby", "")
        assert INK not in figure.svg
        assert "currentColor" in figure.svg
        assert "prefers-color-scheme" in standalone(figure.svg).decode()
        texts = {"".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")}
        assert len(texts) > 5
    assert "validation NDCG@10" in figures[0].svg


def test_a_figure_shows_every_arm_and_both_baselines(figures: list[Figure]) -> None:
    pareto = next(figure for figure in figures if figure.name == "pareto")
    for name in ("standard", "cascade", "popularity", "markov"):
        assert f">{name}</text>" in pareto.svg


def test_item_ids_are_text_and_nothing_else(figures: list[Figure]) -> None:
    example = figures[-1].svg
    assert "<script" not in example
    assert "$\\frac{&lt;scrip…" in example
    assert "bell\ufffd\ufffd" in example
    assert "映画" in example


def test_the_same_report_gives_the_same_bytes_whatever_the_machine_s_settings(
    report: dict[str, Any], figures: list[Figure], tmp_path: Path
) -> None:
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 20, "svg.hashsalt": "other"}):
        again = draw_figures(report)
        assert mpl.rcParams["font.size"] == 20
    assert again == figures


def test_a_report_that_lacks_figures_is_drawn_without_them(report: dict[str, Any]) -> None:
    bare = copy.deepcopy(report)
    for body in (*bare["arms"].values(), *bare["baselines"].values()):
        for row in body["attacks"]:
            row.update(dict.fromkeys(("ndcg@10", "overlap", "kept")), n=0)
    for body in bare["arms"].values():
        for seed in body["seeds"]:
            seed["history"] = []
    assert {figure.name for figure in draw_figures(bare)} >= {"pareto", "learning_curves"}
