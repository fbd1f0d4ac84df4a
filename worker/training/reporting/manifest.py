"""The manifest: what a run was made of and what it made, by hash, so that it can be done again and compared.

`reproduction.compare_manifests` is the judge of a run done again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import torch

from worker.training.data.split import Split
from worker.training.progress import DataError
from worker.training.spec import TrainSpec

FORMAT = "steadyrank-manifest"
SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"
INITIAL = "initial_sha256"
"""Name in `data` of the hash of the earlier model that training started from."""

OUTCOMES = "outcomes_sha256"
"""Name of the hash of what each user met, which comparisons after the run are made from."""


def build_manifest(
    spec: TrainSpec,
    split: Split,
    item_ids: Sequence[str],
    *,
    models: Mapping[tuple[str, int], Mapping[str, bytes]],
    report: Mapping[str, Any],
    figures: Mapping[str, bytes],
    outcomes: bytes,
) -> dict[str, Any]:
    """Return the manifest as plain JSON types (docs/report.md).

    models: the files of each (arm, seed) by name, without the manifest that will stand among them. report:
    of `build_report`. figures: SVG files by name. outcomes: of `pack_outcomes`.
    """
    environment = report["environment"]
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "data": {
            "content_sha256": report["dataset"]["content_sha256"],
            "split_sha256": split_hash(split),
            "item_map_sha256": _sha256(json.dumps(list(item_ids)).encode()),
            **{name: report["dataset"][name] for name in ("users", "items", "interactions", "eval_users")},
            **({INITIAL: report["warm_start"]["sha256"]} if report["warm_start"] else {}),
        },
        "spec": spec.model_dump(mode="json"),
        "seeds": list(spec.seeds),
        "protocol_hash": report["protocol_hash"],
        "environment": {
            "steadyrank": version("steadyrank"),
            "matplotlib": version("matplotlib"),
            **environment,
        },
        "determinism": {
            "device": environment["device"],
            "threads": environment["threads"],
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
            "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
            "cudnn_deterministic": torch.backends.cudnn.deterministic,
            "bit_equal_when_repeated": environment["device"] == "cpu",
        },
        "models": [
            {
                "arm": arm,
                "seed": seed,
                "files": {name: _sha256(content) for name, content in sorted(files.items())},
            }
            for (arm, seed), files in models.items()
        ],
        "results": [
            {"arm": arm, "seed": seed["seed"], "best_epoch": seed["best_epoch"], "epochs": seed["epochs"]}
            | {name: seed[name] for name in ("validation", "test", "attacks")}
            for arm, body in report["arms"].items()
            for seed in body["seeds"]
        ],
        "report": {"figures_sha256": figures_hash(report)},
        "figures": {name: _sha256(content) for name, content in sorted(figures.items())},
        OUTCOMES: _sha256(outcomes),
    }


def check_data(
    expected: Mapping[str, Any], facts: Mapping[str, Any], initial_sha256: str | None = None
) -> None:
    """Raise DataError that names the first difference, if `facts` are not of the manifest's `data`.

    initial_sha256: of the earlier model whose weights training starts from; None where it starts afresh.
    """
    names = ("interactions", "users", "items", "eval_users", "content_sha256")
    for name in names:
        if name in expected and expected[name] != facts[name]:
            raise DataError(
                "the data are not those of the manifest: "
                f"data.{name} was {expected[name]} and is {facts[name]}",
                hint="Give the file that the manifest's run was made on, read with the same columns.",
            )
    if INITIAL in expected and expected[INITIAL] != initial_sha256:
        raise DataError(
            "training would not start from the weights that the manifest's run started from: "
            f"data.{INITIAL} was {expected[INITIAL]} and is {initial_sha256}",
            hint="Name the folder of that very model with --init-from.",
        )


def figures_hash(report: Mapping[str, Any]) -> str:
    """Hash what a report found, without what differs from run to run: times, the machine, and what the model
    that training started from is called."""

    def timeless(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: timeless(one) for name, one in value.items() if name != "seconds"}
        return [timeless(one) for one in value] if isinstance(value, list | tuple) else value

    found = {name: value for name, value in report.items() if name != "environment"}
    if found["warm_start"]:
        found["warm_start"] = {**found["warm_start"], "from": None}
        found["spec"] = {**found["spec"], "init_from": None}
    return _sha256(json.dumps(timeless(found), sort_keys=True).encode())


def split_hash(split: Split) -> str:
    """Hash what is trained on, validated on and tested on, in item numbers and users' places."""
    digest = hashlib.sha256()
    for integers in (split.train.offsets, split.train.items, split.users("test")):
        digest.update(integers.astype("<i8").tobytes())
    for phase in ("validation", "test"):
        for integers in (*split.histories(phase), split.targets(phase)):
            digest.update(integers.astype("<i8").tobytes())
    return digest.hexdigest()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
