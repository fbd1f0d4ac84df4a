"""How a run compares with the manifest that it was made from: the judge of `train --from-manifest`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from worker.training.portable import WEIGHTS_FILE
from worker.training.reporting.manifest import INITIAL, OUTCOMES

DEFAULT_TOLERANCE = 0.002
"""How far a figure between 0 and 1 may be from the manifest's to count as the same within tolerance."""

Verdict = Literal["bit-equal", "within tolerance", "different"]

_BESIDE = frozenset({"rank_shift_mean", "rank_shift_median", "kept", "intervals"})
"""Not held to the tolerance: places, no shares; a quotient of two figures that are, which magnifies how far
they are off; and what resamples of the same figures give."""


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
    that are no shares or follow from others (`_BESIDE`). What an earlier model is called or where it lies is
    not compared: its weights are.
    """
    before, now = _compared(expected, found), _compared(found, expected)
    differences = list(_differences(before, now, ""))
    if not differences:
        return Comparison("bit-equal")
    first = differences[0]
    if any(before[field] != now[field] for field in ("data", "spec", "protocol_hash")):
        return Comparison("different", first)
    near = _near(expected["results"], found["results"], tolerance)
    return Comparison("within tolerance" if near else "different", first)


def _compared(manifest: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What of a manifest is compared with another, in the order in which differences are looked for.

    What earlier versions did not write is compared where both manifests have it.
    """
    models = {f"{one['arm']}, seed {one['seed']}": one["files"][WEIGHTS_FILE] for one in manifest["models"]}
    results = {f"{one['arm']}, seed {one['seed']}": one for one in manifest["results"]}
    data = {
        name: value for name, value in manifest["data"].items() if name in other["data"] or name != INITIAL
    }
    start = manifest["spec"].get("init_from") and "an earlier model"
    return {
        "data": data,
        "spec": {**manifest["spec"], "init_from": start},
        "protocol_hash": manifest["protocol_hash"],
        "results": results,
        "weights": models,
        "report": manifest["report"],
        **({OUTCOMES: manifest[OUTCOMES]} if OUTCOMES in manifest and OUTCOMES in other else {}),
    }


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
