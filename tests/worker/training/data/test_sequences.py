"""Interactions → sequences, against hand-made logs, a brute-force k-core and the public data sets' counts."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.training.data.readers.read import ReadOptions, read_interactions
from worker.training.data.sequences import build_sequences, ragged_positions
from worker.training.data.split import leave_one_out
from worker.training.progress import DataError

Log = list[tuple[str, str]]
logs = st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("uvwxyz")), min_size=1, max_size=60)


def frame(log: Log) -> pl.DataFrame:
    return pl.DataFrame(log, schema={"user": pl.String, "item": pl.String}, orient="row")


def test_users_and_items_are_numbered_by_first_appearance() -> None:
    log = frame([("z", "10"), ("a", "7"), ("z", "7"), ("z", "10"), ("a", "007")])
    sequences = build_sequences(log)
    assert sequences.user_ids == ["z", "a"]
    assert sequences.item_ids == ["10", "7", "007"]
    assert sequences.of(0).tolist() == [1, 2, 1]
    assert sequences.of(1).tolist() == [2, 3]
    assert sequences.times is None
    assert (sequences.n_users, sequences.n_items, sequences.n_interactions) == (2, 3, 5)
    assert (sequences.offsets.dtype, sequences.items.dtype) == (np.int64, np.int32)


def test_ids_of_one_hash_are_still_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pl.Series, "hash", lambda ids: pl.Series([len(id) for id in ids], dtype=pl.UInt64))
    sequences = build_sequences(frame([("z", "10"), ("a", "7"), ("z", "7"), ("a", "11"), ("z", "10")]))
    assert sequences.user_ids == ["z", "a"]
    assert sequences.item_ids == ["10", "7", "11"]
    assert sequences.items.tolist() == [1, 2, 1, 2, 3]


def test_times_and_min_rating() -> None:
    log = frame([("a", "x"), ("b", "y"), ("a", "z"), ("a", "w")]).with_columns(
        timestamp=pl.from_epoch(pl.Series([1, 2, 3, 4]), time_unit="s").dt.replace_time_zone("UTC"),
        rating=pl.Series([4.0, 5.0, 3.9, None]),
    )
    kept = build_sequences(log, min_rating=4.0)
    assert (kept.user_ids, kept.item_ids) == (["a", "b"], ["x", "y"])
    assert kept.times is not None
    assert kept.times.tolist() == [1_000_000, 2_000_000]
    with pytest.raises(DataError, match="no interaction is left"):
        build_sequences(log, min_rating=6.0)
    with pytest.raises(DataError, match="no rating column"):
        build_sequences(log.drop("rating"), min_rating=1.0)


def k_core_by_hand(log: Log, k: int) -> Log:
    while True:
        users, items = Counter(user for user, _ in log), Counter(item for _, item in log)
        kept = [(user, item) for user, item in log if users[user] >= k and items[item] >= k]
        if kept == log:
            return log
        log = kept


@settings(deadline=None, max_examples=50)
@given(log=logs, k=st.integers(0, 5))
def test_k_core_is_the_brute_force_one_and_keeps_the_order(log: Log, k: int) -> None:
    core = k_core_by_hand(log, k)
    if not core:
        with pytest.raises(DataError):
            build_sequences(frame(log), k_core=k)
        return
    sequences = build_sequences(frame(log), k_core=k)
    assert sequences.user_ids == list(dict.fromkeys(user for user, _ in core))
    assert sequences.item_ids == list(dict.fromkeys(item for _, item in core))
    for number, user in enumerate(sequences.user_ids):
        assert [sequences.item_ids[i - 1] for i in sequences.of(number)] == [i for u, i in core if u == user]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=8))
def test_ragged_positions(slices: list[tuple[int, int]]) -> None:
    starts, lengths = (np.array([pair[at] for pair in slices], dtype=np.int64) for at in (0, 1))
    assert ragged_positions(starts, lengths).tolist() == [s + i for s, n in slices for i in range(n)]


SHARED_DATA = os.environ.get("SHARED_DATA")


@pytest.mark.skipif(SHARED_DATA is None, reason="SHARED_DATA names no folder with the public data sets")
@pytest.mark.parametrize(
    ("name", "format", "users", "items", "interactions"),
    [
        ("ml-100k.inter", "inter", 943, 1682, 100_000),
        ("Beauty.txt", "sequence", 22_363, 12_101, 198_502),
        ("Toys_and_Games.txt", "sequence", 19_412, 11_924, 167_597),
        ("Video.txt", "pairs", 31_013, 23_715, 287_107),
    ],
)
def test_public_data_sets(name: str, format: str, users: int, items: int, interactions: int) -> None:
    result = read_interactions(Path(SHARED_DATA or "") / name, ReadOptions())
    assert result.format == format
    assert (result.stats["users"], result.stats["items"]) == (users, items)
    sequences = build_sequences(result.interactions)
    assert (sequences.n_users, sequences.n_items, sequences.n_interactions) == (users, items, interactions)
    split = leave_one_out(sequences)
    assert len(split.eval_users) == users - (112 if name == "Video.txt" else 0)
    if name == "ml-100k.inter":
        assert split.tied_last_two_share == pytest.approx(0.44, abs=0.005)
