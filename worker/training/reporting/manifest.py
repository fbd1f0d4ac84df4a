"""The manifest: what a run was made of and what it made, by hash, so that it can be done again and compared.

`compare_manifests` is the judge of `steadyrank train --from-manifest`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import zip_longest
from typing import Any, Literal

import torch

from worker.training.data.split import Split
from worker.training.portable import WEIGHTS_FILE
from worker.training.progress import DataError
from worker.training.spec import TrainSpec

FORMAT = "steadyrank-manifest"
SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"
DEFAULT_TOLERANCE = 0.002
"""How far a figure between 0 and 1 may be from the manifest's to count as the same within tolerance."""

_BESIDE = frozenset({"rank_shift_mean", "rank_shift_median", "kept", "intervals"})
"""Not held to the tolerance: places, no shares; a quotient of two figures that are, which magnifies how far
they are off; and what resamples of the same figures give."""

Verdict = Literal["bit-equal", "within tolerance", "different"]


def build_manifest(
    spec: TrainSpec,
    split: Split,
    item_ids: Sequence[str],
    *,
    models: Mapping[tuple[str, int], Mapping[str, bytes]],
    report: Mapping[str, Any],
    figures: Mapping[str, bytes],
) -> dict[str, Any]:
    """Return the manifest as plain JSON types (docs/report.md).

    models: the files of each (arm, seed) by name, without the manifest that will stand among them. report:
    of `build_report`. figures: SVG files by name.
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
    }


def check_data(expected: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Raise DataError that names the first difference, if `facts` are not of the manifest's `data`."""
    names = ("interactions", "users", "items", "eval_users", "content_sha256")
    for name in names:
        if name in expected and expected[name] != facts[name]:
            raise DataError(
                "the data are not those of the manifest: "
                f"data.{name} was {expected[name]} and is {facts[name]}",
                hint="Give the file that the manifest's run was made on, read with the same columns.",
            )


def figures_hash(report: Mapping[str, Any]) -> str:
    """Hash what a report found, without what differs from run to run: times and the machine."""

    def timeless(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: timeless(one) for name, one in value.items() if name != "seconds"}
        return [timeless(one) for one in value] if isinstance(value, list | tuple) else value

    found = {name: value for name, value in report.items() if name != "environment"}
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


@dataclass(frozen=True)
class Comparison:
    """How a run compares with the manifest it was made from; `first_difference` is "" when bit-equal."""

    verdict: Verdict
    first_difference: str = ""


def compare_manifests(
    expected: Mapping[str, Any], found: Mapping[str, Any], *, tolerance: float = DEFAULT_TOLERANCE
) -> Comparison:
    """Judge a run by the manifest it was made from, and name the first field in which they differ.

    Compared are data, spec, protocol, the weights of every model and all figures; not the machine, the
    drawings, nor the other files of a model, which follow from these. Within tolerance: the same data and
    spec, and every validation, test and attack figure of every model at most `tolerance` away, but for those
    that are no shares or follow from others (`_BESIDE`).
    """
    differences = list(_differences(_compared(expected), _compared(found), ""))
    if not differences:
        return Comparison("bit-equal")
    first = differences[0]
    for field in ("data", "spec", "protocol_hash"):
        if expected.get(field) != found.get(field):
            return Comparison("different", first)
    near = _near(expected["results"], found["results"], tolerance)
    return Comparison("within tolerance" if near else "different", first)


def _compared(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What of a manifest is compared, in the order in which differences are looked for."""
    models = {f"{one['arm']}, seed {one['seed']}": one["files"][WEIGHTS_FILE] for one in manifest["models"]}
    results = {f"{one['arm']}, seed {one['seed']}": one for one in manifest["results"]}
    same = {name: manifest[name] for name in ("data", "spec", "protocol_hash")}
    return {**same, "results": results, "weights": models, "report": manifest["report"]}


def _differences(expected: Any, found: Any, path: str) -> Iterator[str]:
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for name in dict.fromkeys((*expected, *found)):
            field = f"{path}.{name}" if path else str(name)
            if name not in expected or name not in found:
                yield f"{field} is only in the {'new run' if name in found else 'manifest'}"
            else:
                yield from _differences(expected[name], found[name], field)
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for place, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from _differences(one, other, f"{path}[{place}]")
    elif expected != found:
        yield f"{path} was {expected!r} and is {found!r}"


def _near(
    expected: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]], tolerance: float
) -> bool:
    if [(one["arm"], one["seed"]) for one in expected] != [(one["arm"], one["seed"]) for one in found]:
        return False
    return all(
        _all_near(figures, others, tolerance)
        for one, other in zip(expected, found, strict=True)
        for figures, others in _paired(one, other)
    )


def _paired(
    expected: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """What of two results is held against each other: figures of a phase, or of one attack."""
    for phase in ("validation", "test"):
        yield expected[phase], found[phase]
    yield from zip_longest(expected["attacks"], found["attacks"], fillvalue={})


def _all_near(expected: Mapping[str, Any], found: Mapping[str, Any], tolerance: float) -> bool:
    """Whether both have the same figures, each at most `tolerance` away; all else must be equal."""
    names = expected.keys() - _BESIDE
    return names == found.keys() - _BESIDE and all(
        abs(expected[name] - found[name]) <= tolerance
        if isinstance(expected[name], int | float) and isinstance(found[name], int | float)
        else expected[name] == found[name]
        for name in names
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
