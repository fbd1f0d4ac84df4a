from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points

import pytest
import typer

from app.cli import plugins
from app.cli.exits import ReportingGroup, UsageProblemError


@pytest.mark.parametrize("module", ["app.cli.main", "app.cli.demo.command", "app.sdk.client"])
def test_importing_it_brings_nothing_heavy(module):
    heavy = ("torch", "polars", "celery", "sqlalchemy", "fastapi", "numpy")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_training_command_is_plugged_in():
    (train,) = entry_points(group=plugins.GROUP, name="train")
    assert train.module == "worker.cli"


@pytest.fixture
def plugged(monkeypatch):
    def make(target: str) -> typer.Typer:
        point = EntryPoint(name="extra", value=target, group=plugins.GROUP)
        monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
        app = typer.Typer(cls=ReportingGroup, context_settings={"help_option_names": ["-h", "--help"]})
        app.callback()(lambda: None)
        plugins.add_plugins(app)
        return app

    return make


def test_a_plug_in_that_is_not_installed_says_what_to_install(plugged, cli):
    result = cli("extra", app=plugged("no_such_module:run"))
    assert result.exit_code == 2
    assert "'no_such_module'" in result.stderr
    assert "make install" in result.stderr


@pytest.mark.parametrize("target", ["app.cli.migrate:migrate", "app.cli.keys:app"])
@pytest.mark.parametrize("asked", ["--help", "-h"])
def test_a_plug_in_gets_its_own_options_and_help(plugged, cli, target, asked):
    app = plugged(target)
    result = cli("extra", *(["create"] if target.endswith(":app") else []), asked, app=app)
    assert result.exit_code == 0
    assert "--data-dir" in result.output


def test_a_plug_ins_known_errors_are_shown_too(plugged, cli, monkeypatch, tmp_path):
    def broken() -> None:
        raise UsageProblemError("nothing there", hint="put something there")

    monkeypatch.setattr(plugins, "_command_of", lambda point: lambda **given: broken())
    result = cli("extra", app=plugged("app.cli.migrate:migrate"))
    assert result.exit_code == 2
    assert "put something there" in result.stderr
