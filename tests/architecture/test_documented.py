"""What users rely on is documented: settings, routes, training settings, and the two commands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from app.config import Settings
from app.main import create_app
from app.models.bundle import LOADER, LOADER_FILE, PORTABLE_FILE
from worker.training.spec import TrainSpec

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
API = (ROOT / "docs/api.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs/guide.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def variable(field: str) -> str:
    return {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}.get(
        field, f"STEADYRANK_{field.upper()}"
    )


@pytest.mark.parametrize("field", sorted(Settings.model_fields))
def test_every_setting_is_explained(field: str) -> None:
    assert Settings.model_fields[field].description
    assert f"| `{variable(field)}` |" in OPERATIONS


def test_no_setting_is_documented_that_does_not_exist() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", OPERATIONS, re.M))
    assert documented == {variable(field) for field in Settings.model_fields}


@pytest.fixture(scope="module")
def routes() -> set[tuple[str, str]]:
    settings = Settings(database_url="postgresql://nobody@localhost/none", redis_url="redis://localhost/0")
    paths = create_app(settings).openapi()["paths"]
    found = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    assert len(found) > 20
    return found


def test_every_route_is_in_the_reference_and_none_more(routes: set[tuple[str, str]]) -> None:
    documented = {(method, path) for method, path in re.findall(r"^\| `([A-Z]+) (/\S*)` \|", API, re.M)}
    assert documented == routes


def test_the_guide_walks_through_every_route(routes: set[tuple[str, str]]) -> None:
    walked = set()
    for method, asked in re.findall(r"\bapi ([A-Z]+) \"?(/[^\s\"?)]+)", GUIDE):
        fits = {path for known, path in routes if known == method and _pattern(path).fullmatch(asked)}
        assert fits, f"{method} {asked} is no route"
        walked.add((method, max(fits, key=lambda path: len(re.sub(r"{\w+}", "", path)))))
    assert walked == routes


def _pattern(path: str) -> re.Pattern[str]:
    """A route's path with anything but a slash in place of each parameter."""
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))


@pytest.mark.parametrize("field", sorted(TrainSpec.model_fields))
def test_every_training_setting_has_a_sentence(field: str) -> None:
    description = TrainSpec.model_fields[field].description
    assert description
    assert description.rstrip().endswith(".")
    default = json.dumps(TypeAdapter(Any).dump_python(TrainSpec.model_fields[field].default, mode="json"))
    assert f"| `{field}` | `{default}` | {' '.join(description.split())} |" in API


def test_the_readme_names_both_commands() -> None:
    assert "make demo" in README
    assert "make test" in README


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"], ids=lambda p: p.name
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_no_text_names_a_package_that_no_index_has() -> None:
    pages = [*ROOT.glob("docs/**/*.md"), ROOT / "README.md"]
    for file in [*ROOT.glob("app/**/*.py"), *ROOT.glob("worker/**/*.py"), *pages]:
        assert not re.search(r"pip install ['\"]?steadyrank", file.read_text(encoding="utf-8")), file


def test_what_the_model_card_names_is_in_its_zip() -> None:
    assert (LOADER_FILE, PORTABLE_FILE) == ("load.py", "portable.py")
    assert "\nmodel = load_model(" in LOADER


def test_commands_in_the_makefile_are_all_in_its_help() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.M)
    assert set(phony.split()) == set(re.findall(r"^([a-z]+):.*## ", makefile, re.M))
