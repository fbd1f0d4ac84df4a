"""The doctor's round: every family of findings over one log, and the lines that they are about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from worker.training.doctor.findings import Finding
from worker.training.doctor.ids import find_id_traps
from worker.training.doctor.items import find_skew
from worker.training.doctor.log import Log
from worker.training.doctor.personal import find_personal_data, masked_if_personal
from worker.training.doctor.repeats import find_duplicates, find_repeat_consumption
from worker.training.doctor.splits import find_split_faults
from worker.training.doctor.times import find_disorder, find_implausible, find_ties
from worker.training.doctor.users import find_bots, find_short

ROUND: tuple[Callable[[Log], list[Finding]], ...] = (
    find_duplicates,
    find_ties,
    find_disorder,
    find_implausible,
    find_short,
    find_bots,
    find_skew,
    find_repeat_consumption,
    find_split_faults,
    find_id_traps,
    find_personal_data,
)
_URGENCY = {"error": 0, "warning": 1, "info": 2}


def examine(log: Log, lines_of: Callable[[Sequence[int]], list[int]]) -> list[Finding]:
    """All findings, the most urgent first; `lines_of` turns 0-based rows (ascending) into lines."""
    found = [finding for find in ROUND for finding in find(log)]
    rows = sorted({row for finding in found for row in finding.rows})
    lines = dict(zip(rows, lines_of(rows), strict=True))
    told = [
        replace(
            finding,
            lines=[lines[row] for row in finding.rows],
            examples=[masked_if_personal(example) for example in finding.examples],
        )
        for finding in found
    ]
    return sorted(told, key=lambda finding: _URGENCY[finding.severity])
