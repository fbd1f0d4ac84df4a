"""`steadyrank train` on real files: what it writes, how it goes on, how it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from app.cli.main import app
from worker.training.models.sasrec import SASRec
from worker.training.portable import load_model

SMALL = (
    "max_length=8",
    "hidden_size=8",
    "blocks=1",
    "batch_size=64",
    'attack_positions=["end"]',
    "attack_counts=[1]",
    'attack_replacements=["uniform"]',
    "attack_repeats=1",
)
Train = Callable[..., Result]


@pytest.fixture
def train() -> Iterator[Train]:
    """`steadyrank train …` in this process, on one thread."""
    threads = torch.get_num_threads()

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["train", "--threads", "1", *map(str, arguments)])

    yield run
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A csv of 120 users who mostly go from an item to its one successor."""
    rng = np.random.default_rng(5)
    successor = rng.permutation(30)
    path = tmp_path_factory.mktemp("data") / "visits [1].csv"
    with path.open("w") as file:
        file.write("user_id,item_id,timestamp\n")
        for user in range(120):
            item = int(rng.integers(30))
            for visit in range(int(rng.integers(4, 14))):
                file.write(f"u{user},{item:03},{1_600_000_000 + 60 * visit}\n")
                item = int(successor[item]) if rng.random() < 0.9 else int(rng.integers(30))
    return path


def settings(*more: str) -> list[str]:
    return [part for setting in (*SMALL, *more) for part in ("--set", setting)]


def figures(folder: Path) -> Any:
    """The report, without how long things took."""

    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: timeless(one) for key, one in value.items() if key != "seconds"}
        return [timeless(one) for one in value] if isinstance(value, list) else value

    return timeless(json.loads((folder / "report.json").read_text()))


def weights(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in (folder / "models").glob("*/weights.safetensors")}


def test_a_file_becomes_a_report_and_models(train: Train, log: Path, tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text("epochs = 9\nlearning_rate = 0.01\n")
    out = tmp_path / "out"
    done = train(
        log, "-o", out, "--spec", spec, *settings("epochs=4", "seeds=[3]"), "--arms", "standard,cascade"
    )
    assert done.exit_code == 0, done.stderr
    report = json.loads((out / "report.json").read_text())
    assert list(report["arms"]) == ["standard", "cascade"]
    assert (report["spec"]["epochs"], report["spec"]["learning_rate"]) == (4, 0.01)
    assert (report["dataset"]["users"], report["dataset"]["items"]) == (120, 30)
    assert {path.name for path in (out / "models").iterdir()} == {"standard-seed3", "cascade-seed3"}
    assert (out / "report.md").read_text().startswith("# Training report: sasrec, standard, cascade")
    model = load_model(out / "models" / "cascade-seed3")
    assert len(model.recommend(["007", "011"], k=5)) == 5
    for shown in ("visits [1].csv", "'time': 'timestamp'", "cascade epoch 4: loss", "checkpoint_saved"):
        assert shown in done.stderr
    for shown in (
        "standard",
        "cascade",
        "popularity",
        "markov",
        f"{report['arms']['cascade']['test']['hr@10']:.4f}",
    ):
        assert shown in done.stdout

    again = train(
        log, "-o", out, "--spec", spec, *settings("epochs=4", "seeds=[3]"), "--arms", "standard,cascade"
    )
    assert again.exit_code == 0
    assert "epoch 4: loss" not in again.stderr
    assert json.loads((out / "report.json").read_text())["arms"] == report["arms"]

    earlier, warm = out / "models" / "cascade-seed3", tmp_path / "warm"
    started = train(log, "-o", warm, *settings("epochs=2"), "--arms", "standard", "--init-from", earlier)
    assert started.exit_code == 0, started.stderr
    assert json.loads((warm / "report.json").read_text())["warm_start"]["items_known"] == 30
    unfit = train(log, "-o", tmp_path / "unfit", *settings("hidden_size=4"), "--init-from", earlier)
    assert unfit.exit_code == 2
    assert "hidden_size was 8 and is 4" in unfit.stderr

    other = train(log, "-o", out, *settings("epochs=5", "seeds=[3]"))
    assert other.exit_code == 1
    assert "spec was" in other.stderr
    assert "--output" in other.stderr
    assert json.loads((out / "report.json").read_text()) == report


HELD = """\
import sys
from app.cli.main import main
from worker.console_progress import ConsoleProgress
told = ConsoleProgress.epoch
def epoch(self, metrics):
    told(self, metrics)
    if (metrics.arm, metrics.epoch) == ("standard", 5):
        sys.stdin.readline()
ConsoleProgress.epoch = epoch
main()
"""
"""The command; after an epoch in the middle it waits for a word, so that the signal surely comes in time."""


def test_interrupted_and_started_again_it_ends_as_if_nothing_had_been(
    train: Train, log: Path, tmp_path: Path
) -> None:
    chosen = [*settings("epochs=10", "warmup_epochs=2", "checkpoint_minutes=0"), "--arms", "standard,cascade"]
    out, undisturbed = tmp_path / "out", tmp_path / "undisturbed"
    command = [sys.executable, "-c", HELD, "train", log, "-o", out, "--threads", "1", *chosen]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes, text=True) as process:
        for line in process.stderr:
            if "standard epoch 5:" in line:
                process.send_signal(signal.SIGINT)
                print("go on", file=process.stdin, flush=True)
        assert process.wait(60) == 130
    saved = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert any(name.startswith("progress-") for name in saved), saved
    assert not (out / "report.json").exists()

    resumed = train(log, "-o", out, *chosen)
    assert resumed.exit_code == 0
    assert "resumed arm" in resumed.stderr
    assert "standard epoch 5:" not in resumed.stderr
    assert train(log, "-o", undisturbed, *chosen).exit_code == 0
    assert figures(out) == figures(undisturbed)
    assert weights(out) == weights(undisturbed)
    assert len(weights(out)) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty_file"),
        (b"\x00\x01\x02" * 50, "binary_file"),
        (b"colour,size\nred,3\nblue,4\n", "missing_columns"),
        (b"user,item,time\nu1,a,5\n,b,6\nu1,c,7\n", "line 3"),
        (b"user,item,time\nu1,a,2020-01-01\nu1,b,soon\nu1,c,2020-01-03\n", "line 3"),
        (b"user,item\nu1,a\nu1,b\nu2,a\n", "3 interactions"),
    ],
)
def test_a_bad_file_is_refused_and_nothing_is_written(
    train: Train, tmp_path: Path, content: bytes, said: str
) -> None:
    file, out = tmp_path / "bad.csv", tmp_path / "out"
    file.write_bytes(content)
    refused = train(file, "-o", out)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert "Hint" in refused.stderr
    assert not out.exists()


def test_remarks_about_a_file_that_can_be_used_are_shown(train: Train, tmp_path: Path) -> None:
    file = tmp_path / "plain.csv"
    file.write_text("user,item\n" + "".join(f"u{user},{item}\n" for user in range(9) for item in "abcd"))
    done = train(file, "-o", tmp_path / "out", *settings("epochs=1"), "--arms", "standard")
    assert done.exit_code == 0
    assert "warning" in done.stderr
    assert "no_time" in done.stderr


@pytest.mark.parametrize("name", ["missing.csv", "folder"])
def test_a_path_that_is_no_file_is_named(train: Train, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    refused = train(tmp_path / name, "-o", tmp_path / "out")
    assert refused.exit_code == 2
    assert name in refused.stderr
    assert "Traceback" not in refused.output


def test_an_output_that_cannot_be_written_is_refused_before_training(
    train: Train, log: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/steadyrank")):
        refused = train(log, "-o", out, *settings("epochs=1"))
        assert refused.exit_code == 2, out
        assert "Error" in refused.stderr
        assert "epoch 1" not in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "epoch=3"], "epoch: Extra inputs are not permitted"),
        (["--set", "epochs=0"], "epochs: Input should be greater than or equal to 1"),
        (["--set", "epochs"], "name=value"),
        (["--arms", "standard,best"], "arms.1"),
        (["--arms", ""], "arms"),
        (["--preset", "best"], "preset: Input should be 'paper' or 'strong'"),
        (["--preset", "strong", "--set", "heads=7"], "heads: heads (7) must divide hidden_size (64)"),
        (["--set", "k_core=500"], "no interaction is left"),
        (["--set", "min_rating=3"], "no rating column"),
        (["--device", "gpu"], "no device 'gpu'"),
        (["--format", "xls"], "no format 'xls'"),
        (["--user-column", "who"], "no column 'who'"),
        (["--spec", "/nowhere/spec.json"], "/nowhere/spec.json"),
        (["--nonsense"], "No such option"),
    ],
)
def test_wrong_settings_are_refused(
    train: Train, log: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    refused = train(log, "-o", tmp_path / "out", *arguments)
    assert refused.exit_code == 2, refused.output
    assert said in refused.stderr
    assert not (tmp_path / "out" / "report.json").exists()


def test_training_that_diverges_is_a_failure(
    train: Train, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SASRec, "encode", lambda self, e_BLD, *rest: e_BLD * float("nan"))
    failed = train(log, "-o", tmp_path / "out", *settings("epochs=3"))
    assert failed.exit_code == 1
    assert "diverged at step 1 " in failed.stderr
    assert "Lower learning_rate" in failed.stderr
