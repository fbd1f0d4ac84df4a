"""A small study from the first run to the tables, interrupted on the way."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.study.__main__ import Study
from benchmarks.study.cells import Cell, Run
from benchmarks.study.document import BEGIN, END, render, render_earlier, write_documents
from benchmarks.study.planning import Plan
from benchmarks.study.records import OUTCOMES, Record, Results
from benchmarks.study.rules import ARMS, RULES, Rules
from benchmarks.study.running import code_version, perform
from benchmarks.study.workspace import Workspace
from worker.training.progress import Stopped

BEAUTY = Cell("beauty", "sasrec")


class Bell:
    """Says from the nth question on that it is time to leave."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked >= self.n


def test_results_that_came_meanwhile_are_no_change_of_the_code(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        named = ["-c", "user.name=n", "-c", "user.email=n@example.org"]
        subprocess.run(["git", *named, *arguments], cwd=tmp_path, check=True, capture_output=True)

    assert code_version(tmp_path) == ""
    code, results = tmp_path / "worker/step.py", tmp_path / "benchmarks/study/results/cell.jsonl"
    for file in (code, results):
        file.parent.mkdir(parents=True)
        file.write_text("first\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    commit = code_version(tmp_path)
    assert len(commit) == 12
    results.write_text("first\nsecond\n")
    assert code_version(tmp_path) == commit
    code.write_text("second\n")
    assert code_version(tmp_path) == f"{commit}-dirty"


def run_of(rules: Rules, arm: str = "cascade", seed: int = 0) -> Run:
    return Run(BEAUTY, "trial", arm, seed, BEAUTY.base(rules), {"epsilon_history": 0.2, "gamma": 1.0})


def test_a_whole_cell_ends_in_tables(tmp_path: Path, data: Path, rules: Rules) -> None:
    results, workspace = Results(tmp_path / "results"), Workspace(tmp_path / "work")
    study = Study([BEAUTY], rules, results, workspace, data)
    study.work()
    plan = Plan(rules, results.of)
    assert plan.is_complete(BEAUTY)
    assert plan.pending(BEAUTY) == []
    records = results.of(BEAUTY)
    for record in records.values():
        assert (record.test is None) == (record.purpose == "trial")
        if record.purpose != "baseline":
            assert record.cut == (record.epochs == 3)
            assert [point[0] for point in record.curve] == list(range(2, record.epochs + 1))
            assert 0 < record.cpu_seconds_to_best <= record.cpu_seconds
            assert max(ndcg for _, ndcg in record.curve) == pytest.approx(record.clean, abs=1e-5)
    tested = [record for record in records.values() if record.purpose == "test"]
    assert {(record.arm, record.seed) for record in tested} == {
        (arm, seed) for arm in ARMS for seed in (0, 1)
    }
    for record in tested:
        outcomes = results.outcomes(BEAUTY, record.key)
        assert record.test is not None
        assert np.nanmean(outcomes["clean"]) == pytest.approx(record.test["ndcg@10"], abs=1e-3)
        assert np.nanmean(outcomes["attacked"]) == pytest.approx(record.attacked, abs=1e-3)
        assert len(record.attacks) == 9
    # A warm-up for each seed, trained once.
    warmups = list((tmp_path / "work" / BEAUTY.name).glob("warmup-*/curve.jsonl"))
    assert [len(path.read_text().splitlines()) for path in warmups] == [1, 1]

    document, rounds = tmp_path / "study.md", tmp_path / "study-rounds.md"
    for page in (document, rounds):
        page.write_text(f"Rules.\n{BEGIN}\nyesterday's\n{END}\nCommands.\n", "utf-8")
    write_documents(document, rounds, results, [BEAUTY, Cell("video", "gru4rec")], rules)
    text = document.read_text("utf-8")
    assert text.startswith(f"Rules.\n{BEGIN}\n")
    assert text.endswith(f"{END}\nCommands.\n")
    assert "yesterday's" not in text
    for arm in ARMS:
        assert f"| `{arm}` |" in text
    assert "Not run." in text.split("### video-gru4rec-paper")[1]
    assert f"figures/frontiers-{BEAUTY.name}.svg" in text
    assert (tmp_path / f"figures/frontiers-{BEAUTY.name}.svg").read_bytes().startswith(b"<?xml")
    assert rounds.read_text("utf-8") == f"Rules.\n{BEGIN}\n\n{END}\nCommands.\n"


def test_what_an_earlier_round_tested_stands_on_its_own_page(
    tmp_path: Path, record: Callable[..., Record]
) -> None:
    results = Results(tmp_path / "results")
    earlier = Run(BEAUTY, "test", "cascade", 0, BEAUTY.base(RULES), {"epsilon_history": 0.2})
    figures = {"arm": "cascade", "changes": earlier.changes, "test": {"ndcg@10": 0.1234}}
    results.add(BEAUTY, record(earlier.key, purpose="test", **figures))
    assert "0.1234" not in render(results, [BEAUTY], RULES)
    assert "0.1234" in render_earlier(results, [BEAUTY, Cell("toys", "sasrec")], RULES)
    assert "toys" not in render_earlier(results, [BEAUTY, Cell("toys", "sasrec")], RULES)


def test_a_search_on_its_own_data_is_told_beside_what_decides(
    tmp_path: Path, record: Callable[..., Record]
) -> None:
    results, toys = Results(tmp_path / "results"), Cell("toys", "sasrec")
    plan = Plan(RULES.on_own_data(), results.of)
    before = render(results, [toys], RULES)
    assert "own data" not in before
    for run in plan.first_trials(toys):
        made = {"purpose": "trial", "arm": run.arm, "changes": run.changes}
        results.add(toys, record(run.key, spec=run.spec().model_dump(mode="json"), **made))
    decided, own = render(results, [toys], RULES).split("**Searched on its own data**")
    assert "Not run." in decided
    assert own.count("| `cascade` |") == 4 + 1  # trials, and the frontier
    assert "| `cascade` |" not in render_earlier(results, [toys], RULES)


def test_a_page_without_markers_is_refused_and_nothing_is_written(tmp_path: Path, rules: Rules) -> None:
    study, rounds = tmp_path / "study.md", tmp_path / "study-rounds.md"
    study.write_text(f"{BEGIN}\nyesterday's\n{END}", "utf-8")
    rounds.write_text("no markers", "utf-8")
    with pytest.raises(ValueError, match=r"study-rounds\.md lacks the markers"):
        write_documents(study, rounds, Results(tmp_path / "results"), [BEAUTY], rules)
    assert "yesterday's" in study.read_text("utf-8")


def test_a_stopped_run_goes_on_and_ends_as_if_it_had_not_been(
    tmp_path: Path, data: Path, rules: Rules
) -> None:
    run = run_of(rules)
    alone, _ = perform(run, Workspace(tmp_path / "alone"), data, lambda: False)
    stopped = Workspace(tmp_path / "stopped")
    stops = 0
    for at in (3, 8, 10_000):
        try:
            record, _ = perform(run, stopped, data, Bell(at))
        except Stopped:
            stops += 1
    assert stops == 2
    assert record.validation == alone.validation
    assert record.attacks == alone.attacks
    assert record.curve == alone.curve
    assert (record.best_epoch, record.epochs) == (alone.best_epoch, alone.epochs)


def test_arms_of_a_seed_share_the_warmup(tmp_path: Path, data: Path, rules: Rules) -> None:
    workspace = Workspace(tmp_path)
    runs = [run_of(rules), run_of(rules, "standard"), run_of(rules, seed=1)]
    folders = [workspace.warmup(run) for run in runs]
    assert folders[0] == folders[1] != folders[2]
    for run in runs[:2]:
        perform(run, workspace, data, lambda: False)
    epochs = [json.loads(line)["epoch"] for line in (folders[0] / "curve.jsonl").read_text().splitlines()]
    assert epochs == [1]


def test_a_run_that_another_process_holds_is_left_to_it(tmp_path: Path, rules: Rules) -> None:
    run = run_of(rules)
    with Workspace(tmp_path).claim(run) as first, Workspace(tmp_path).claim(run) as second:
        assert (first, second) == (True, False)
    with Workspace(tmp_path).claim(run) as again:
        assert again


def test_a_study_told_to_leave_finishes_nothing(tmp_path: Path, data: Path, rules: Rules) -> None:
    results = Results(tmp_path / "results")
    study = Study([BEAUTY], rules, results, Workspace(tmp_path / "work"), data)
    study.stopping = True
    study.work()
    assert results.of(BEAUTY) == {}


def test_a_diverged_run_is_written_down_without_figures(tmp_path: Path, data: Path, rules: Rules) -> None:
    # Scores too large for a float.
    wild = Run(BEAUTY, "trial", "cascade", 0, {**BEAUTY.base(rules), "temperature": 1e-44})
    record, outcomes = perform(wild, Workspace(tmp_path), data, lambda: False)
    assert outcomes is None
    assert record.error is not None
    assert record.attacks == []


def test_outcomes_come_back_as_they_were_to_three_digits(
    tmp_path: Path, record: Callable[..., Record], outcomes: Callable[..., dict[str, Any]]
) -> None:
    results, given = Results(tmp_path), outcomes(0)
    results.add(BEAUTY, record("test-x"), given)
    assert results.of(BEAUTY)["test-x"] == record("test-x")
    back = results.outcomes(BEAUTY, "test-x")
    for name in OUTCOMES:
        np.testing.assert_allclose(back[name], given[name], atol=5e-4)


def test_of_a_test_that_was_met_twice_the_first_counts(tmp_path: Path, record: Callable[..., Record]) -> None:
    results = Results(tmp_path)
    for clean in (0.1, 0.2):
        results.add(BEAUTY, record("test-x", clean=clean))
    assert results.of(BEAUTY)["test-x"].clean == 0.1
