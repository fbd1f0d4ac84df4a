"""The page of data sets explains every finding, and names every transform."""

from __future__ import annotations

import re
from pathlib import Path

from worker.training.doctor.fixes import TRANSFORMS
from worker.training.doctor.ids import TRAPS
from worker.training.doctor.personal import SHAPES

ROOT = Path(__file__).resolve().parents[4]
PAGE = (ROOT / "docs/data-sets.md").read_text(encoding="utf-8")


def test_every_finding_is_explained() -> None:
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "worker/training/doctor").glob("*.py")
    )
    codes = {
        *re.findall(r'Finding\(\s*"([a-z_]+)"', source),
        *re.findall(r'_implausible\(log, "([a-z_]+)"', source),
    }
    codes |= {*re.findall(r'_cold\(\s*"([a-z_]+)"', source), *(trap.code for trap in TRAPS)}
    codes |= {"doctor_failed", "personal_data_email"}
    assert len(codes) > 15
    explained = {
        code for row in re.findall(r"^\| (`.*?) \|", PAGE, re.M) for code in re.findall(r"`([a-z_]+)`", row)
    }
    assert explained == codes
    assert all(f"_{kind}`" in PAGE for kind in SHAPES)


def test_every_transform_is_named() -> None:
    assert [name for name in TRANSFORMS if f"`{name}`" not in PAGE] == []
