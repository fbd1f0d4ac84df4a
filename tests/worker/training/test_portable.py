"""The numpy model against the torch model, and what a folder or a question must not be."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from worker.training.data.histories import Histories
from worker.training.evaluation.evaluate import model_scorer
from worker.training.models.build import build_model
from worker.training.portable import (
    ModelUnreadableError,
    PortableModel,
    ReplacePositionError,
    UnknownItemsError,
    load_model,
)
from worker.training.reporting.package import model_files
from worker.training.spec import TrainSpec

N_ITEMS = 23
ITEMS = [f"{number:03d}" for number in range(1, N_ITEMS + 1)]
SEED = {
    "test_intervals": {"ndcg@10": [0.05, 0.15]},
    "test": {"hr@10": 0.2, "ndcg@10": 0.1},
    "validation": {"ndcg@10": 0.1},
    "attacks": [],
}
REPORT = {
    "protocol_hash": "feed",
    "spec": TrainSpec(max_length=6).model_dump(mode="json"),
    "dataset": {
        "items": N_ITEMS,
        "users": 9,
        "interactions": 99,
        "cut_interactions": 31,
        "split": {"name": "leave_one_out", "train_interactions": 81},
    },
    "arms": {"cascade": {**SEED, "seeds": [{**SEED, "seed": 0, "best_epoch": 3, "epochs": 4}]}},
    "baselines": {"popularity": SEED},
    "warnings": [{"code": "nothing_learnt", "arm": "cascade", "message": "cascade has learnt nothing"}],
}

SPECS = [
    TrainSpec(model="sasrec", hidden_size=8, blocks=2, heads=2, max_length=6),
    TrainSpec(model="sasrec", hidden_size=12, blocks=1, heads=1, max_length=3),
    TrainSpec(model="gru4rec", hidden_size=8, blocks=1, max_length=6),
    TrainSpec(model="gru4rec", hidden_size=12, blocks=2, max_length=4),
    TrainSpec(hidden_size=8, heads=2, max_length=6, feed_forward_multiplier=3),
    TrainSpec(hidden_size=8, heads=2, max_length=6, block="pre_norm", item_normalisation="items"),
    TrainSpec(hidden_size=8, max_length=6, block="ligr", feed_forward_multiplier=2, temperature=2.0),
    TrainSpec(hidden_size=8, max_length=6, block="ligr", item_normalisation="cosine", temperature=0.2),
    TrainSpec(model="gru4rec", hidden_size=8, blocks=2, max_length=6, block="pre_norm"),
]


def files_of(spec: TrainSpec) -> tuple[torch.nn.Module, dict[str, bytes]]:
    model = build_model(spec, N_ITEMS)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():  # far from the initial zeros and ones
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
        model.item_embedding.weight[0] = 0
    files = model_files(spec, model.state_dict(), ITEMS, arm="cascade", seed=0, report=REPORT)
    return model, files


@pytest.fixture
def files() -> dict[str, bytes]:
    return files_of(SPECS[0])[1]


@pytest.mark.parametrize(
    "spec",
    SPECS,
    ids=lambda s: f"{s.model}-{s.block}-{s.blocks}-{s.heads}-{s.max_length}-{s.item_normalisation}",
)
def test_scores_equal_torch(spec: TrainSpec) -> None:
    model, files = files_of(spec)
    scorer, portable = model_scorer(model, spec.max_length), load_model(files)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    for length in (1, 2, 3, 5, 6, 7, 20):
        history = rng.integers(1, N_ITEMS + 1, length)
        expected = scorer(Histories(np.array([0, length]), history.astype(np.int32)))[0, 1:].numpy()
        np.testing.assert_allclose(portable.score(history.tolist())[1:], expected, atol=1e-5, rtol=1e-5)


def test_a_model_of_version_1_is_read_as_before(files: dict[str, bytes]) -> None:
    config = json.loads(files["config.json"])
    options = ("block", "feed_forward_multiplier", "item_normalisation", "temperature")
    older = {name: value for name, value in config.items() if name not in options} | {"format_version": 1}
    old = load_model({**files, "config.json": json.dumps(older).encode()})
    np.testing.assert_array_equal(old.score([4, 5, 6]), load_model(files).score([4, 5, 6]))


def test_recommendations_by_hand(files: dict[str, bytes]) -> None:
    model = load_model(files)
    scores = model.score([4, 5, 6])
    order = sorted(range(1, N_ITEMS + 1), key=lambda number: -scores[number])
    history = ["004", "005", "006"]
    everything = model.recommend(history, k=100, exclude_seen=False)
    assert [item for item, _ in everything] == [ITEMS[number - 1] for number in order]
    assert [score for _, score in everything] == [float(scores[number]) for number in order]
    unseen = [ITEMS[number - 1] for number in order if number not in (4, 5, 6)]
    assert [item for item, _ in model.recommend(history, k=100)] == unseen
    assert [item for item, _ in model.recommend(history, k=3)] == unseen[:3]


def test_what_if(files: dict[str, bytes]) -> None:
    model = load_model(files)
    expected = model.recommend(["004", "009", "006"], k=100, exclude_seen=False)
    asked = model.recommend(["004", "005", "006"], k=100, exclude_seen=False, replace={1: "009"})
    assert asked == expected
    assert asked == model.recommend(["004", "005", "006"], k=100, exclude_seen=False, replace={-2: "009"})
    left = {item for item, _ in model.recommend(["004", "005", "006"], k=100, replace={1: "009"})}
    assert left == set(ITEMS) - {"004", "005", "006", "009"}


def test_unknown_items_are_named(files: dict[str, bytes]) -> None:
    model = load_model(files)
    with pytest.raises(UnknownItemsError, match="'4', 'x'") as caught:
        model.recommend(["004", "4", "4"], replace={0: "x"})
    assert caught.value.names == ["4", "x"]
    with pytest.raises(UnknownItemsError, match="and 5 more"):
        model.recommend([f"n{number}" for number in range(15)])


@pytest.mark.parametrize("position", [3, -4])
def test_a_position_outside_the_history(files: dict[str, bytes], position: int) -> None:
    with pytest.raises(ReplacePositionError, match="has 3 items"):
        load_model(files).recommend(["004", "005", "006"], replace={position: "001"})


def test_questions_without_an_answer(files: dict[str, bytes]) -> None:
    model = load_model(files)
    with pytest.raises(ValueError, match="empty history"):
        model.recommend([])
    with pytest.raises(ValueError, match="at least 1"):
        model.recommend(["004"], k=0)
    assert model.recommend(ITEMS) == []


def test_a_folder_is_read_and_a_missing_file_named(files: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert load_model(tmp_path).recommend(["004"]) == load_model(files).recommend(["004"])
    (tmp_path / "items.json").unlink()
    with pytest.raises(ModelUnreadableError, match=r"items\.json"):
        load_model(tmp_path)
    with pytest.raises(ModelUnreadableError, match=r"items\.json is missing"):
        load_model({name: content for name, content in files.items() if name != "items.json"})


def changed(files: dict[str, bytes], **changes: object) -> dict[str, bytes]:
    return {**files, "config.json": json.dumps({**json.loads(files["config.json"]), **changes}).encode()}


def test_damaged_models(files: dict[str, bytes]) -> None:
    weights = safetensors.numpy.load(files["weights.safetensors"])
    broken = {name: array + np.nan for name, array in weights.items()}
    fewer = {name: array for name, array in weights.items() if name != "final_norm.bias"}
    cases = {
        "damaged: ": {**files, "weights.safetensors": files["weights.safetensors"][:-5]},
        "file is damaged": {**files, "items.json": b"["},
        "a list": {**files, "items.json": b"{}"},
        "as strings": {**files, "items.json": json.dumps(list(range(N_ITEMS))).encode()},
        "twice": {**files, "items.json": json.dumps(["a"] * N_ITEMS).encode()},
        "item_embedding.weight should": {**files, "items.json": json.dumps(ITEMS[:-1]).encode()},
        "final_norm.bias should": {**files, "weights.safetensors": safetensors.numpy.save(fewer)},
        "is not of format": changed(files, format_version=3),
        "unknown architecture": changed(files, architecture="pickle"),
        "positive integer": changed(files, blocks="2"),
        "unknown block": changed(files, block="post_norm"),
        "temperature must be": changed(files, temperature=0),
        "position_embedding.weight should": changed(files, max_length=7),
    }
    for message, damaged in cases.items():
        with pytest.raises(ModelUnreadableError, match=message):
            load_model(damaged)
    with pytest.raises(ModelUnreadableError, match="not finite"):
        load_model({**files, "weights.safetensors": safetensors.numpy.save(broken)}).recommend(["001"])


def test_the_card_says_what_the_model_is(files: dict[str, bytes]) -> None:
    card = files["README.md"].decode()
    assert "cascade has learnt nothing" in card
    assert (
        "Trained on 50 interactions of 9 users (of 99 in the log; 31 more of their training part are too old "
        "for its windows), the last two" in card
    )
    assert "| popularity | 0.2000 | 0.1000 (0.0500 to 0.1500) | – | – |" in card
    config = json.loads(files["config.json"])
    assert (config["arm"], config["seed"], config["architecture"]) == ("cascade", 0, "sasrec")


def test_it_runs_without_torch_and_the_rest_of_the_project(files: dict[str, bytes], tmp_path: Path) -> None:
    """In a fresh interpreter where the heavy packages cannot be imported at all."""
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    program = (
        "import sys\n"
        "hidden = ('torch', 'polars', 'pydantic', 'app', 'worker.training.spec')\n"
        "sys.modules.update(dict.fromkeys(hidden))\n"
        "from worker.training.portable import load_model\n"
        "print(load_model(sys.argv[1]).recommend(['004', '005'], k=1)[0][0])\n"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.strip() == load_model(files).recommend(["004", "005"], k=1)[0][0]
    assert isinstance(load_model(files), PortableModel)
