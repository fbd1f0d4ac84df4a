"""All that a run leaves to be read, as files: the report three ways, its figures, and the manifest.

Importing this brings matplotlib, which takes half a second: done when training is over, not before it begins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.training.data.split import Split
from worker.training.evaluation.outcomes import OUTCOMES_FILE
from worker.training.reporting.figures import draw_figures
from worker.training.reporting.manifest import MANIFEST_FILE, build_manifest
from worker.training.reporting.markdown import render_markdown
from worker.training.reporting.page import render_page
from worker.training.reporting.svg import standalone
from worker.training.spec import TrainSpec


@dataclass(frozen=True)
class Documents:
    """The manifest, and every file by its path: "report.json", "figures/pareto.svg" and so on."""

    manifest: dict[str, Any]
    files: dict[str, bytes]


def write_documents(
    spec: TrainSpec,
    split: Split,
    item_ids: Sequence[str],
    *,
    report: Mapping[str, Any],
    models: Mapping[tuple[str, int], Mapping[str, bytes]],
    outcomes: bytes,
) -> Documents:
    """Draw, render and hash.

    report: of `build_report`; models: files of each (arm, seed) by name; outcomes: of `pack_outcomes`.
    """
    figures = draw_figures(report)
    drawn = {f"{figure.name}.svg": standalone(figure.svg) for figure in figures}
    manifest = build_manifest(
        spec, split, item_ids, models=models, report=report, figures=drawn, outcomes=outcomes
    )
    files = {
        "report.json": as_json(report),
        "report.md": render_markdown(report).encode(),
        "report.html": render_page(report, figures).encode(),
        MANIFEST_FILE: as_json(manifest),
        OUTCOMES_FILE: outcomes,
        **{f"figures/{name}": content for name, content in drawn.items()},
    }
    return Documents(manifest, files)


def as_json(value: Any) -> bytes:
    """Write plain JSON types for people: indented, in order."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).encode()
