"""Rules on the source text: size, empty packages, nothing that runs code out of data."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path for top in ("app", "worker", "migrations", "benchmarks") for path in (ROOT / top).rglob("*.py")
)
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
MAX_LINES = 500


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def dangers(source: str) -> list[str]:
    """What in a module could run code out of a file or a string, each with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").partition(".")[0]}
        else:
            names = set()
        found += [f"{node.lineno}: imports {name}" for name in names & FORBIDDEN_MODULES]  # type: ignore[attr-defined]
        if isinstance(node, ast.Call):
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            called = ast.unparse(node.func)
            if called in {"eval", "exec"}:
                found.append(f"{node.lineno}: calls {called}")
            if (
                called == "torch.load"
                and ast.unparse(keywords.get("weights_only", ast.Constant(None))) != "True"
            ):
                found.append(f"{node.lineno}: torch.load without weights_only=True")
            if ast.unparse(keywords.get("allow_pickle", ast.Constant(False))) == "True":
                found.append(f"{node.lineno}: allow_pickle=True")
            if ast.unparse(keywords.get("shell", ast.Constant(False))) == "True":
                found.append(f"{node.lineno}: shell=True")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_nothing_runs_code_out_of_data(path: Path) -> None:
    assert dangers(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "eval('1')",
        "import torch\ntorch.load('x')",
        "import torch\ntorch.load('x', weights_only=False)",
        "import numpy\nnumpy.load('x', allow_pickle=True)",
        "import subprocess\nsubprocess.run('ls', shell=True)",
    ],
)
def test_the_check_sees_each_danger(source: str) -> None:
    assert len(dangers(source)) == 1


def test_no_module_is_longer_than_one_can_read() -> None:
    lengths = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_packages_are_empty() -> None:
    """A re-export in worker/training/__init__.py would pull torch into the API unseen by import contracts."""
    assert [named(path) for path in SOURCES if path.name == "__init__.py" and path.stat().st_size] == []


# Everything else is given its settings by app/config.py.
MAY_READ_ENVIRONMENT = {
    "app/config.py": "the settings themselves, and the user's data folder by the XDG convention",
    "app/cli/demo/data.py": "the user's cache folder by the XDG convention",
    "worker/child_process.py": "PYTHONPATH, handed on to the child",
    "app/sdk/discovery.py": "a client library runs in programs that know no Settings",
    "benchmarks/training.py": "SHARED_DATA, like the tests",
}


def test_only_settings_read_the_environment() -> None:
    readers = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"os.getenv", "os.environ.get"}:
                readers.add(named(path))
            # Setting a variable for this process or a child is not reading one.
            reads_item = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load)
            if reads_item and ast.unparse(node.value) == "os.environ":
                readers.add(named(path))
    assert readers - MAY_READ_ENVIRONMENT.keys() == set()
