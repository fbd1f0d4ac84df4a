"""`steadyrank train --from-manifest`: the same again, and what is said when it is not."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from app.cli.main import app
from tests.reports import SPEC, markov_log
from worker.reproduce import read_manifest

Change = Callable[[dict[str, Any]], Any]


def train(*arguments: object) -> Result:
    threads = torch.get_num_threads()
    try:
        return CliRunner().invoke(app, ["train", *map(str, arguments)])
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "log.csv"
    markov_log().write_csv(path)
    return path


@pytest.fixture(scope="module")
def manifest(log: Path) -> Path:
    """The manifest of a run on `log`."""
    folder = log.parent / "first"
    spec = log.parent / "spec.json"
    small = {"arms": ("cascade",), "seeds": (1,), "attack_replacements": ("uniform",), "stability_changes": 0}
    spec.write_text(SPEC.model_copy(update=small).model_dump_json())
    first = train("--data", log, "-o", folder, "--spec", spec, "--threads", 1)
    assert first.exit_code == 0, first.output
    assert (folder / "report.html").read_text().lstrip().startswith("<!DOCTYPE html>")
    assert (folder / "figures" / "pareto.svg").exists()
    return folder / "manifest.json"


def changed(manifest: Path, folder: Path, change: Change) -> Path:
    body = json.loads(manifest.read_text())
    change(body)
    path = folder / "manifest.json"
    path.write_text(json.dumps(body))
    return path


def test_the_same_run_is_bit_equal_with_the_manifests_threads(
    log: Path, manifest: Path, tmp_path: Path
) -> None:
    again = train(log, "--from-manifest", manifest, "-o", tmp_path)
    assert again.exit_code == 0, again.output
    assert again.stdout.rstrip().endswith("bit-equal")
    before, after = json.loads(manifest.read_text()), json.loads((tmp_path / "manifest.json").read_text())
    assert after["determinism"]["threads"] == before["determinism"]["threads"] == 1
    assert after["figures"] == before["figures"]


def test_another_result_is_within_tolerance_or_different_and_named(
    log: Path, manifest: Path, tmp_path: Path
) -> None:
    def little(body: dict[str, Any]) -> None:
        body["results"][0]["test"]["hr@10"] += 0.001
        body["environment"]["torch"] = "1.0"

    moved = changed(manifest, tmp_path, little)
    near = train(log, "--from-manifest", moved, "-o", tmp_path / "out")
    assert near.exit_code == 5, near.output
    assert "within tolerance: results.cascade, seed 1.test.hr@10 was" in near.stdout
    assert "torch was 1.0 and is" in near.stdout
    far = train(log, "--from-manifest", moved, "-o", tmp_path / "out", "--tolerance", "0.0001")
    assert far.exit_code == 6
    for run in (near, far):
        assert "epoch 1" in run.stderr
    assert "different: results.cascade, seed 1.test.hr@10 was" in far.stdout


def test_what_the_first_run_left_behind_is_not_taken_for_the_second(
    log: Path, manifest: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(manifest.parent, tmp_path / "out")
    refused = train(log, "--from-manifest", out / "manifest.json", "-o", out)
    assert refused.exit_code == 2
    assert "would be overwritten" in " ".join(refused.stderr.split())
    again = train(log, "--from-manifest", manifest, "-o", out)
    assert (again.exit_code, again.stdout.split()[-1]) == (0, "bit-equal"), again.output
    assert "epoch 1" in again.stderr
    assert {path.name for path in out.iterdir() if path.name.startswith("checkpoints")} == {"checkpoints"}
    # What an interrupted reproduction had trained is gone on with, by the same version and manifest alone.
    mine, name = read_manifest(manifest), r"again-[0-9a-f]{10}"
    assert re.fullmatch(name, mine.name)
    assert mine.name == read_manifest(manifest).name
    assert mine.name != replace(mine, manifest={**mine.manifest, "results": []}).name


def test_a_changed_setting_is_different(log: Path, manifest: Path, tmp_path: Path) -> None:
    other = changed(manifest, tmp_path, lambda body: body["spec"].update(learning_rate=0.5))
    result = train(log, "--from-manifest", other, "-o", tmp_path / "out")
    assert result.exit_code == 6
    assert "different: results.cascade, seed 1." in result.stdout


def test_other_data_are_refused_before_training(log: Path, manifest: Path, tmp_path: Path) -> None:
    lines = log.read_text().splitlines()
    lines[1], lines[2] = lines[2], lines[1]
    shuffled, shorter = tmp_path / "shuffled.csv", tmp_path / "shorter.csv"
    shuffled.write_text("\n".join(lines) + "\n")
    shorter.write_text("\n".join(lines[:-1]) + "\n")
    for file, named in ((shuffled, "data.content_sha256 was"), (shorter, "data.interactions was")):
        refused = train(file, "--from-manifest", manifest, "-o", tmp_path / "out")
        assert refused.exit_code == 2
        assert named in refused.stderr
        assert "epoch 1" not in refused.stderr


def test_a_run_that_started_from_a_model_needs_that_model(log: Path, manifest: Path, tmp_path: Path) -> None:
    first = log.parent / "first" / "models" / "cascade-seed1"
    folder, spec = tmp_path / "warm", log.parent / "spec.json"
    short = ("epochs=3", "stability_changes=0", "attack_counts=[1]", 'attack_positions=["end"]')
    settings = [part for one in short for part in ("--set", one)]
    options = ["--spec", spec, *settings, "--threads", 1]
    warm = train(log, "-o", folder, *options, "--init-from", first)
    assert warm.exit_code == 0, warm.output
    digest = json.loads((folder / "manifest.json").read_text())["data"]["initial_sha256"]
    assert digest == json.loads((folder / "report.json").read_text())["warm_start"]["sha256"]

    # As a service writes it: a model has an id there, which is no folder anywhere.
    of_job = changed(
        folder / "manifest.json", tmp_path, lambda body: body["spec"].update(init_from="mdl_earlier")
    )
    unnamed = train(log, "--from-manifest", of_job, "-o", tmp_path / "out")
    assert unnamed.exit_code == 2
    for part in ("the weights of mdl_earlier", digest, "--init-from"):
        assert part in " ".join(unnamed.stderr.split())
    other = train(
        log,
        "--from-manifest",
        of_job,
        "-o",
        tmp_path / "out",
        "--init-from",
        folder / "models" / "cascade-seed1",
    )
    assert other.exit_code == 2
    assert f"data.initial_sha256 was {digest} and is" in other.stderr
    assert "epoch 1" not in other.stderr
    elsewhere = shutil.copytree(first, tmp_path / "elsewhere")
    again = train(log, "--from-manifest", of_job, "-o", tmp_path / "out", "--init-from", elsewhere)
    assert (again.exit_code, again.stdout.split()[-1]) == (0, "bit-equal"), again.output
    cold = train(log, "--from-manifest", manifest, "-o", tmp_path / "out", "--init-from", first)
    assert cold.exit_code == 2
    assert "started from no model" in cold.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a manifest"),
        ('{"format": "steadyrank-manifest", "schema_version": 9}', "of schema 9 without data"),
    ],
)
def test_what_is_no_manifest_is_refused(log: Path, tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(content)
    refused = train(log, "--from-manifest", path, "-o", tmp_path / "out")
    assert refused.exit_code == 2
    assert said in " ".join(refused.stderr.split())


def test_wrong_usage_is_refused(log: Path, manifest: Path, tmp_path: Path) -> None:
    unknown = changed(manifest, tmp_path, lambda body: body["spec"].update(gamme=1))
    for arguments, said in (
        ([log, "--data", log], "Name one data file"),
        ([], "Name one data file"),
        ([log, "--from-manifest", manifest, "--set", "epochs=3"], "leave out --spec"),
        ([log, "--from-manifest", unknown], "spec.gamme"),
        ([log, "--from-manifest", tmp_path / "none.json"], "none.json"),
    ):
        refused = train(*arguments, "-o", tmp_path / "out")
        assert refused.exit_code == 2, refused.output
        assert said in " ".join(refused.stderr.split())
