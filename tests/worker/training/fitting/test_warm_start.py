"""An earlier model's weights in a new data set's model: items by id, positions from the end."""

from typing import Any

import polars as pl
import pytest
import torch

from worker.training.experiment import ExperimentResult, run_experiment
from worker.training.fitting.warm_start import InitialModel, WarmStart
from worker.training.models.base import SequenceModel
from worker.training.models.build import build_model
from worker.training.progress import DataError, MemoryCheckpoints, SilentProgress
from worker.training.reporting.doubts import warm_start_warnings
from worker.training.runtime import Runtime
from worker.training.settings import ModelName
from worker.training.spec import TrainSpec

SMALL: dict[str, Any] = {"hidden_size": 8, "blocks": 1, "max_length": 6}


def spec_of(**settings: Any) -> TrainSpec:
    return TrainSpec.model_validate({**SMALL, **settings})


def initial_of(model: SequenceModel, spec: TrainSpec, items: list[str]) -> InitialModel:
    config = {"architecture": spec.model, **spec.model_dump(mode="json")}
    return InitialModel("mdl_1", config, items, model.state_dict())


@pytest.mark.parametrize("name", ["sasrec", "gru4rec"])
@pytest.mark.parametrize("length", [4, 6, 9])
def test_items_go_by_id_and_positions_from_the_end(name: ModelName, length: int) -> None:
    before, now = spec_of(model=name), spec_of(model=name, max_length=length)
    old = build_model(before, 3, seed=1)
    start = WarmStart(initial_of(old, before, ["a", "b", "c"]), now, ["new", "c", "a", "newer"])
    model, fresh = build_model(now, 4, seed=2), build_model(now, 4, seed=2)
    start.apply(model)
    table, was = model.item_embedding.weight, old.item_embedding.weight
    assert torch.equal(table[[2, 3]], was[[3, 1]])
    assert torch.equal(table[[0, 1, 4]], fresh.item_embedding.weight[[0, 1, 4]])
    assert start.facts | {"sha256": ""} == {
        "from": "mdl_1",
        "sha256": "",
        "items_known": 2,
        "items_new": 2,
        "items_dropped": 1,
    }
    for key, tensor in model.state_dict().items():
        if key == "position_embedding.weight":
            shared = min(length, 6)
            assert torch.equal(tensor[-shared:], old.state_dict()[key][-shared:])
            assert torch.equal(tensor[:-shared], fresh.state_dict()[key][:-shared])
        elif key != "item_embedding.weight":
            assert torch.equal(tensor, old.state_dict()[key])


def test_what_does_not_fit_is_named() -> None:
    before = spec_of()
    initial = initial_of(build_model(before, 2), before, ["a", "b"])
    with pytest.raises(DataError, match=r"hidden_size was 8 and is 16; blocks was 1 and is 2"):
        WarmStart(initial, spec_of(hidden_size=16, blocks=2), ["a"])
    with pytest.raises(DataError, match="knows none of the data set's 1 items"):
        WarmStart(initial, before, ["A"])
    # A configuration that does not say what its weights are.
    narrow = initial_of(build_model(spec_of(hidden_size=4), 2), before, ["a", "b"])
    start = WarmStart(narrow, before, ["a"])
    with pytest.raises(DataError, match=r"item_embedding.weight was \(3, 4\) and is \(2, 8\)"):
        start.apply(build_model(before, 1))


STARTED = [("warm_started", "standard"), ("warm_started", "cascade")]


def log_of(items: str, users: int = 12) -> pl.DataFrame:
    rows = [(f"u{user}", items[(user + nth) % len(items)]) for user in range(users) for nth in range(6)]
    return pl.DataFrame(rows, schema=["user", "item"], orient="row")


def run(log: pl.DataFrame, initial: InitialModel | None = None, **settings: Any) -> ExperimentResult:
    short = {"epochs": 2, "warmup_epochs": 1, "seeds": [0, 1]}
    short |= {"attack_positions": ["end"], "attack_replacements": ["uniform"], "attack_repeats": 1}
    spec = spec_of(**{**short, "arms": ["standard", "cascade"], **settings})
    return run_experiment(
        spec,
        log,
        progress=SilentProgress(),
        checkpoints=MemoryCheckpoints(),
        runtime=Runtime("cpu", 1),
        initial=initial,
    )


def test_a_job_starts_every_arm_and_seed_from_the_model() -> None:
    first = run(log_of("abcdefgh")).models[0]
    initial = InitialModel.read("mdl_1", first.files)
    # With a step this small, training hardly moves what it started from.
    result = run(log_of("hgfedcbaxyz"), initial, init_from="mdl_1", learning_rate=1e-9)
    assert result.report["warm_start"]["items_known"] == 8
    assert result.report["spec"]["init_from"] == "mdl_1"
    assert "| started from the weights of | mdl_1 |" in result.report_markdown
    at_first = dict(zip(initial.item_ids, initial.weights["item_embedding.weight"][1:], strict=True))
    assert len(result.models) == 4
    for trained in result.models:
        now = InitialModel.read("now", trained.files)
        for item, vector in zip(now.item_ids, now.weights["item_embedding.weight"][1:], strict=True):
            if item in at_first:
                torch.testing.assert_close(vector, at_first[item], atol=1e-6, rtol=0)
    codes = [(row["code"], row["arm"]) for row in result.report["warnings"]]
    assert [at for at in codes if at[0] == "warm_started"] == STARTED
    assert result.report["verdict"].count("raining started from an earlier model that may have met") == 1
    assert "few_items_known" not in dict(codes)
    assert "may have met these validation and test targets" in result.models[0].files["README.md"].decode()
    with pytest.raises(ValueError, match="belong together"):
        run(log_of("abc"), initial)


def test_a_model_of_the_same_split_has_met_no_target() -> None:
    short: dict[str, Any] = {"arms": ["standard"], "seeds": [0]}
    first = InitialModel.read("mdl_1", run(log_of("abcdefgh"), **short).models[0].files)
    again = run(log_of("abcdefgh"), first, init_from="mdl_1", **short)
    assert {row["code"] for row in again.report["warnings"]}.isdisjoint({"warm_started", "few_items_known"})
    # What it started from it may have learnt from, whatever it was trained on itself.
    second = InitialModel.read("mdl_2", again.models[0].files)
    start = WarmStart(second, spec_of(), ["a"])
    assert (start.protocol_hash, WarmStart(first, spec_of(), ["a"]).protocol_hash) == (
        None,
        again.report["protocol_hash"],
    )


def test_items_that_the_model_does_not_know_are_warned_of_when_they_are_most() -> None:
    before = spec_of()
    initial = initial_of(build_model(before, 2), before, ["a", "b"])
    said = [
        [row["message"] for row in warm_start_warnings(["standard"], start.facts, same_training=True)]
        for start in (WarmStart(initial, before, ["a", *others]) for others in ("x", "xy"))
    ]
    assert said[0] == []
    assert "knows 1 of 3 items" in said[1][0]


def test_files_that_are_no_model_are_refused() -> None:
    with pytest.raises(DataError, match=r"init_from: mdl_1 cannot be read: the file config.json is missing"):
        InitialModel.read("mdl_1", {})
