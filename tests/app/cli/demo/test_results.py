from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from app.cli.demo.results import print_table, rows_of


def attack(position: str, count: int, replacement: str, kept: float) -> dict[str, Any]:
    return {
        "position": position,
        "count": count,
        "replacement": replacement,
        "kept": kept,
        "overlap": kept / 2,
    }


def arm(ndcg: float, kept: float, **more: Any) -> dict[str, Any]:
    attacks = [
        attack("start", 1, "uniform", 0.99),
        attack("end", 1, "popularity", 0.98),
        attack("end", 1, "uniform", kept),
        attack("end", 2, "uniform", kept - 0.1),
    ]
    return {"test": {"hr@10": 2 * ndcg, "ndcg@10": ndcg}, "attacks": attacks, **more}


REPORT = {
    "arms": {"standard": arm(0.05, 0.5, seconds=61.4), "cascade": arm(0.06, 0.4, seconds=80.0)},
    "baselines": {
        "popularity": {"test": {"hr@10": 0.09, "ndcg@10": 0.99}, "attacks": []},
        "markov": arm(0.02, 0.1),
    },
}


def test_rows_take_the_end_of_the_history_and_uniform_replacement():
    standard, cascade, popularity, markov = rows_of(REPORT)
    assert (standard.kept, standard.overlap) == ({1: 0.5, 2: 0.4}, {1: 0.25, 2: 0.2})
    assert (standard.seconds, markov.seconds) == (61.4, None)
    assert (cascade.hr, cascade.ndcg) == (0.12, 0.06)
    assert popularity.kept == {}


def test_the_table_marks_the_best_arm_and_never_a_baseline():
    page = io.StringIO()
    print_table(
        Console(file=page, width=200, force_terminal=True, color_system="standard", highlight=False),
        rows_of(REPORT),
    )
    text = page.getvalue()
    assert "\x1b[1m0.0600" in text
    assert "\x1b[1m0.50" in text
    assert "\x1b[1m0.9900" not in text
    assert "0.9900" in text


def printed(report):
    page = io.StringIO()
    print_table(Console(file=page, width=200), rows_of(report))
    return " ".join(page.getvalue().split())


def test_only_attacks_that_were_made_have_columns():
    standard = arm(0.05, 0.5, seconds=61.4)
    standard["attacks"] = [row for row in standard["attacks"] if row["count"] == 1]
    once = printed({"arms": {"standard": standard}, "baselines": {}})
    assert "with the last 1 item of each history" in once
    assert "last 2" not in once
    never = printed({"arms": {}, "baselines": {"popularity": REPORT["baselines"]["popularity"]}})
    assert never.startswith("Test figures, clean clean")
    assert "kept" not in never
