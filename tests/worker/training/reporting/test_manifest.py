"""The manifest: complete, the same for the same run, and a judge that names what differs."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import pytest

from tests import reports
from worker.training.reporting.manifest import figures_hash
from worker.training.reporting.reproduction import compare_manifests
from worker.training.spec import TrainSpec


@pytest.fixture
def manifest() -> dict[str, Any]:
    return copy.deepcopy(reports.real_result().manifest)


def test_it_names_all_that_a_run_was_made_of(manifest: dict[str, Any]) -> None:
    result = reports.real_result()
    assert TrainSpec.model_validate(manifest["spec"]) == reports.SPEC
    assert manifest["data"]["content_sha256"] == result.report["dataset"]["content_sha256"]
    assert manifest["seeds"] == [1, 0]
    assert manifest["determinism"] | {"device": "cpu", "threads": 1} == manifest["determinism"]
    assert {"steadyrank", "torch", "numpy", "polars", "matplotlib", "python"} <= manifest[
        "environment"
    ].keys()
    assert json.loads(result.documents["manifest.json"]) == manifest
    assert [(one["arm"], one["seed"]) for one in manifest["models"]] == [
        ("standard", 1),
        ("cascade", 1),
        ("standard", 0),
        ("cascade", 0),
    ]
    for one, model in zip(manifest["models"], result.models, strict=True):
        assert json.loads(result.files_of(model)["manifest.json"]) == manifest
        for name, digest in one["files"].items():
            assert hashlib.sha256(model.files[name]).hexdigest() == digest
        assert {*one["files"], "manifest.json"} == set(result.files_of(model))
    outcomes = result.documents["outcomes.safetensors"]
    assert hashlib.sha256(outcomes).hexdigest() == manifest["outcomes_sha256"]
    for name, digest in manifest["figures"].items():
        assert hashlib.sha256(result.documents[f"figures/{name}"]).hexdigest() == digest


def test_the_same_run_again_is_bit_equal(manifest: dict[str, Any]) -> None:
    again = reports.run().manifest
    assert compare_manifests(manifest, again).verdict == "bit-equal"
    assert again["figures"] == manifest["figures"]
    assert again["report"] == manifest["report"]
    assert again["outcomes_sha256"] == manifest["outcomes_sha256"]
    again["outcomes_sha256"] = "0" * 64
    compared = compare_manifests(manifest, again)
    assert compared.verdict == "within tolerance"
    assert compared.first_difference.startswith("outcomes_sha256 was")
    del manifest["outcomes_sha256"]  # as an earlier version wrote it
    assert compare_manifests(manifest, again).verdict == "bit-equal"


def test_times_and_the_machine_do_not_move_the_hash_of_figures() -> None:
    report = copy.deepcopy(reports.real_report())
    before = figures_hash(report)
    report["environment"]["platform"] = "elsewhere"
    report["arms"]["cascade"]["seconds"] = 1e9
    assert figures_hash(report) == before
    report["arms"]["cascade"]["test"]["hr@5"] += 1e-9
    assert figures_hash(report) != before


def test_figures_that_moved_little_are_within_tolerance_and_named(manifest: dict[str, Any]) -> None:
    found = copy.deepcopy(manifest)
    found["models"][1]["files"]["weights.safetensors"] = "0" * 64
    compared = compare_manifests(manifest, found)
    assert compared.verdict == "within tolerance"
    assert compared.first_difference.startswith("weights.cascade, seed 1 was ")
    found["results"][1]["test"]["ndcg@10"] += 0.001
    compared = compare_manifests(manifest, found)
    assert compared.verdict == "within tolerance"
    assert compared.first_difference.startswith("results.standard, seed 0.test.ndcg@10 was ")
    assert compare_manifests(manifest, found, tolerance=0.0005).verdict == "different"


def test_what_was_found_under_attack_is_held_to_the_tolerance(manifest: dict[str, Any]) -> None:
    found = copy.deepcopy(manifest)
    (row, *_) = found["results"][0]["attacks"]
    row["rank_shift_mean"] += 3.0
    row["kept"] += 0.01
    assert compare_manifests(manifest, found).verdict == "within tolerance"
    for name, moved in (("overlap", row["overlap"] / 2), ("ndcg@10", row["ndcg@10"] + 0.08), ("rbo", None)):
        changed = copy.deepcopy(found)
        changed["results"][0]["attacks"][0][name] = moved
        assert compare_manifests(manifest, changed).verdict == "different", name
    for attacks in (found["results"][0]["attacks"], manifest["results"][0]["attacks"]):
        attacks[0]["rbo"] = None
    assert compare_manifests(manifest, found).verdict == "within tolerance"
    found["results"][0]["attacks"].pop()
    assert compare_manifests(manifest, found).verdict == "different"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m: m["data"].update(item_map_sha256="0"), "data.item_map_sha256 was"),
        (lambda m: m["spec"].update(gamma=2.0), "spec.gamma was 1.0 and is 2.0"),
        (lambda m: m["spec"].update(newer=1), "spec.newer is only in the new run"),
        (lambda m: m["results"].pop(), "results.cascade, seed 0 is only in the manifest"),
        (lambda m: m["results"][0]["test"].pop("hr@5"), "results.standard, seed 1.test.hr@5 is only in"),
    ],
)
def test_another_run_is_different_and_the_first_field_named(
    manifest: dict[str, Any], change: Any, named: str
) -> None:
    found = copy.deepcopy(manifest)
    change(found)
    compared = compare_manifests(manifest, found)
    assert compared.verdict == "different"
    assert compared.first_difference.startswith(named)
