"""RecTools' part of the plan, and the file that it reads; RecTools itself is not run here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.study import peering
from benchmarks.study.cells import Cell
from benchmarks.study.peering import PeerRun, PeerStudy, write_parts
from benchmarks.study.records import Record
from benchmarks.study.rules import RULES
from benchmarks.study.targets import strong_in_words
from tests.worker.training.synthetic import sequences_of
from worker.training.data.split import leave_one_out


@pytest.fixture
def study(tmp_path: Path) -> PeerStudy:
    return PeerStudy("beauty", RULES, tmp_path)


def result(ndcg: float, seconds: float = 100.0) -> dict[str, Any]:
    return {
        "validation": {"ndcg@10": ndcg},
        "test": {"ndcg@10": ndcg},
        "cpu_seconds_to_best": seconds,
        "best_epoch": 60,
        "epochs": 76,
        "cut": False,
    }


@pytest.mark.parametrize(("best", "epochs"), [(80, 82), (10, 54), (80, 94)])
def test_a_peer_that_was_ended_early_is_not_taken(best: int, epochs: int, study: PeerStudy) -> None:
    run = study.pending()[0]
    ended = {**result(0.05), "best_epoch": best, "epochs": epochs}
    with pytest.raises(ValueError, match="validations after its best"):
        study.add(run, study.settings(run, Path("data.tsv")), ended)
    assert run in study.pending()
    study.add(run, study.settings(run, Path("data.tsv")), {**ended, "cut": True})
    assert run not in study.pending()


def test_as_many_trials_as_strong_then_the_best_on_every_seed(study: PeerStudy) -> None:
    done: list[PeerRun] = []
    while pending := study.pending():
        run = pending[0]
        rate = run.changes["learning_rate"]
        study.add(
            run, study.settings(run, Path("data.tsv")), result(0.03 + rate + run.changes["dropout"] / 100)
        )
        done.append(run)
    assert [run.purpose for run in done] == ["trial"] * len(RULES.tuning) + ["test"] * 3
    assert [run.seed for run in done if run.purpose == "test"] == [0, 1, 2]
    assert study.chosen() == {"learning_rate": 2e-3, "dropout": 0.5}
    assert len(study.tests()) == 3


def test_a_record_says_where_and_when_it_was_made_and_older_ones_are_read(
    study: PeerStudy, tmp_path: Path
) -> None:
    first, second = study.pending()[:2]
    study.add(first, study.settings(first, Path("data.tsv")), result(0.05))
    line = study.finished()[first.key]
    assert {"code", "torch"} <= set(line.pop("environment"))
    assert datetime.fromisoformat(line.pop("finished_at")).tzinfo is not None
    (file,) = tmp_path.glob("rectools-*.jsonl")
    file.write_text(json.dumps(line) + "\n")
    assert study.finished() == {first.key: line}
    assert study.pending()[0] == second


def test_its_process_sees_neither_our_packages_nor_more_than_one_thread(
    study: PeerStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import json, os\n"
        "seen = os.environ.get('PYTHONPATH'), os.environ['OMP_NUM_THREADS']\n"
        f"print(json.dumps({{'result': {result(0.05)!r} | {{'seen': seen}}}}))\n"
    )
    monkeypatch.setattr(peering, "SCRIPT", script)
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    (tmp_path / "rectools-beauty.tsv").touch()
    peering.compare_with_rectools(study, Path(sys.executable), tmp_path, tmp_path)
    assert len(study.tests()) == len(RULES.seeds)
    assert all(line["result"]["seen"] == [None, "1"] for line in study.finished().values())


def test_it_is_told_the_studys_protocol_and_meets_test_targets_in_tests_alone(study: PeerStudy) -> None:
    changes = RULES.tuning[0]
    told = study.settings(PeerRun("beauty", "trial", 0, changes), Path("d.tsv"))
    for name in ("patience", "min_epochs", "validate_every", "epochs"):
        assert told[name] == RULES.common[name]
    assert (told["learning_rate"], told["dropout"]) == (changes["learning_rate"], changes["dropout"])
    assert told["test"] is False
    assert study.settings(PeerRun("beauty", "test", 1, changes), Path("d.tsv"))["test"] is True


def test_the_file_holds_every_interaction_with_its_part(tmp_path: Path) -> None:
    rows = [[3, 1, 2, 4], [2, 1], [4, 3, 1]]
    write_parts(leave_one_out(sequences_of(rows)), tmp_path / "parts.tsv")
    table = np.loadtxt(tmp_path / "parts.tsv", dtype=int, skiprows=1)
    assert table.tolist() == [
        *([0, 3, 0], [0, 1, 0], [0, 2, 1], [0, 4, 2]),
        *([1, 2, 0], [1, 1, 0]),
        *([2, 4, 0], [2, 3, 1], [2, 1, 2]),
    ]


STRONG, ONE_WINDOW = (Cell("beauty", "sasrec", preset) for preset in ("strong", "strong-one-window"))


@pytest.mark.parametrize(
    ("peer", "verdict"),
    [((0.05, 100.0), "Met."), ((0.07, 100.0), "Missed."), ((0.05, 20.0), "Missed.")],
)
def test_strong_must_be_as_accurate_and_five_times_as_fast(
    peer: tuple[float, float], verdict: str, record: Callable[..., Record]
) -> None:
    given = {"cpu_seconds_to_best": 10.0, "cpu_seconds": 20.0, "epochs": 10}
    curve = [[2, 0.04], [4, 0.051], [6, 0.06]]
    strong = [record("test-standard", arm="standard", test={"ndcg@10": 0.06}, curve=curve, **given)]
    sentence, rows = strong_in_words({STRONG: strong}, {"beauty": [result(*peer)]})
    assert f"**{verdict}**" in sentence
    (row,) = rows
    assert row.endswith("| not reached by all seeds |" if peer[0] > 0.06 else "| 8 |")
    for mine, its in ((strong, []), ([], [result(*peer)])):
        undecided, rows = strong_in_words({STRONG: mine}, {"beauty": its})
        assert "**Not decided yet.**" in undecided
        assert rows == []
    besides = {STRONG: strong, ONE_WINDOW: strong}
    again, rows = strong_in_words(besides, {"beauty": [result(*peer)]})
    assert (again, len(rows)) == (sentence, 2)
    assert rows[1].startswith("| beauty, strong-one-window | 0.0600 |")
