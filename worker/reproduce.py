"""`steadyrank train --from-manifest`: read a manifest, and say how the run done again compares with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.cli.exits import DIFFERENT, OK, WITHIN_TOLERANCE, UsageProblemError
from worker.training.reporting.manifest import FORMAT, SCHEMA_VERSION
from worker.training.reporting.reproduction import Comparison, compare_manifests
from worker.training.spec import TrainSpec

EXIT_CODES = {"bit-equal": OK, "within tolerance": WITHIN_TOLERANCE, "different": DIFFERENT}
_FIELDS = ("data", "spec", "protocol_hash", "environment", "determinism", "models", "results", "report")


@dataclass(frozen=True)
class Reproduction:
    """A manifest that was read, and the spec in it."""

    manifest: Mapping[str, Any]
    spec: TrainSpec

    @property
    def name(self) -> str:
        """Names what is done again, and the version that does it: no other may go on with it."""
        text = json.dumps([self.manifest, version("steadyrank")], sort_keys=True)
        return f"again-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    @property
    def threads(self) -> int:
        """CPU threads of the manifest's run."""
        return int(self.manifest["determinism"]["threads"])

    @property
    def device(self) -> str:
        """Device of the manifest's run."""
        return str(self.manifest["determinism"]["device"])

    def initial(self, folder: Path | None) -> Path | None:
        """Return the folder of the model to start from; None where the manifest's run started from none.

        folder: the one given; without it the manifest's own name has to be one. Whether it is the same model
        is found out before training, by its hash. Raises UsageProblemError.
        """
        named = self.spec.init_from
        if named is None and folder is not None:
            raise UsageProblemError(
                "--init-from: the manifest's run started from no model.", hint="Leave --init-from out."
            )
        if named is None or folder is not None:
            return folder
        if Path(named).is_dir():
            return Path(named)
        digest = self.manifest["data"].get("initial_sha256")
        known = f" (data.initial_sha256 {digest})" if digest else ""
        raise UsageProblemError(
            f"The manifest's run started from the weights of {named}{known}, which is no folder here.",
            hint="Name that model's folder with --init-from; `steadyrank models download MODEL` writes one.",
        )

    def compare(self, found: Mapping[str, Any], tolerance: float) -> Comparison:
        """Judge the new run's manifest."""
        return compare_manifests(self.manifest, found, tolerance=tolerance)

    def remarks(self, found: Mapping[str, Any]) -> list[str]:
        """Say what of versions and machine is not as it was; it explains a difference, and is none."""
        before, now = self.manifest["environment"], found["environment"]
        names = [name for name in before if name in now and before[name] != now[name]]
        return [f"{name} was {before[name]} and is {now[name]}" for name in names]


def read_manifest(path: Path) -> Reproduction:
    """Read a manifest. Raises UsageProblemError for anything else, and OSError, which names the path."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageProblemError(f"{path} is not JSON: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UsageProblemError(
            f"{path} is not a manifest.",
            hint="A run writes manifest.json; `steadyrank jobs manifest JOB -o manifest.json` has a job's.",
        )
    missing = [name for name in _FIELDS if name not in manifest]
    if manifest.get("schema_version") != SCHEMA_VERSION or missing:
        raise UsageProblemError(
            f"{path} is a manifest of schema {manifest.get('schema_version')}"
            + (f" without {', '.join(missing)}" if missing else "")
            + f"; this version reads schema {SCHEMA_VERSION}."
        )
    try:
        return Reproduction(manifest, TrainSpec.model_validate(manifest["spec"]))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, ("spec", *fault["loc"])))
        raise UsageProblemError(f"{path}: {where}: {fault['msg']}") from error
