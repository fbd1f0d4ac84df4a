"""Each benchmark of `make bench` measures a small log and says what it says."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.__main__ import main as run_benchmarks
from benchmarks.evaluation import measure as measure_evaluation
from benchmarks.flops import measure as measure_flops
from benchmarks.flops import operations, product_of
from benchmarks.growth import draw, fit
from benchmarks.growth import main as growth
from benchmarks.synthetic import power_law_log
from benchmarks.tables import markdown_table
from benchmarks.training import synthetic
from worker.training.spec import TrainSpec

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_name_has_a_module_with_a_main() -> None:
    assert all(callable(importlib.import_module(module).main) for module in BENCHMARKS.values())


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_benchmarks(["trainign"]) == 2
    assert "training | evaluation" in capsys.readouterr().err


def test_the_log_has_as_many_interactions_as_asked_for() -> None:
    log = power_law_log(10_000, 500)
    assert log.n_interactions == log.offsets[-1] == 10_000
    assert (log.lengths > 0).all()
    assert 1 <= log.items.min() <= log.items.max() <= 500
    assert 8 < log.n_interactions / log.n_users < 10


def test_a_small_cascade_run_from_the_command_line(tmp_path: Path) -> None:
    output = tmp_path / "cascade.json"
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "cascade",
        "--interactions",
        "5000",
        "--output",
        str(output),
    ]
    finished = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120
    )
    assert finished.stdout.startswith("5,000 interactions")
    rows = json.loads(output.read_text())["rows"]
    assert [row["kappa"] for row in rows] == [0.0, 0.1]
    assert all(row["peak_megabytes"] >= row["megabytes_before"] > 0 for row in rows)


def test_evaluation_counts_the_users_it_ranks() -> None:
    found = measure_evaluation(synthetic(users=40, items=60), TrainSpec(hidden_size=8), 1)
    assert found["users"] == 40


def test_products_are_counted_by_their_shapes() -> None:
    assert product_of("aten::mm", [[3, 4], [4, 5]]) == (1, 3, 4, 5)
    assert product_of("aten::addmm", [[5], [3, 4], [4, 5]]) == (1, 3, 4, 5)
    assert product_of("aten::bmm", [[2, 3, 4], [2, 4, 5]]) == (2, 3, 4, 5)
    assert product_of("aten::add", [[3, 4], [3, 4]]) is None
    assert operations(Counter({(1, 3, 4, 5): 2, (2, 3, 4, 5): 1})) == 2 * 2 * 60 + 2 * 120


def test_the_profile_adds_up_and_finds_products() -> None:
    found = measure_flops(synthetic(users=60, items=50), TrainSpec(hidden_size=8, batch_size=16), 3)
    assert sum(share for _, share in found["profile"]) == pytest.approx(1)
    # At least the six products of 2 blocks, forward and both gradients, over some dozens of positions.
    assert found["gigaflop_per_step"] > 2 * 6 * 3 * 2 * 8 * 8 * 30 / 1e9


def test_growth_fits_a_line_through_linear_times(tmp_path: Path) -> None:
    rows = [{"interactions": size, "epoch_cpu_seconds": 3e-6 * size} for size in (1000, 10_000, 100_000)]
    line = fit(rows)
    assert line == {"slope": pytest.approx(1), "seconds_per_million": pytest.approx(3)}
    draw(rows, line, tmp_path / "growth.svg")
    assert "<svg" in (tmp_path / "growth.svg").read_text()


def test_growth_measures_each_size(tmp_path: Path) -> None:
    growth(["--sizes", "2000", "4000", "--output", str(tmp_path / "growth.json")])
    rows = json.loads((tmp_path / "growth.json").read_text())["rows"]
    assert [row["interactions"] for row in rows] == [2000, 4000]
    assert np.diff([row["targets"] for row in rows]) > 0


def test_a_table_refuses_a_row_of_another_width() -> None:
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    with pytest.raises(ValueError, match="1 cells in a table of 2 columns"):
        markdown_table(["a", "b"], [["1"]])
