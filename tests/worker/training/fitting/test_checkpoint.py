import json

import pytest
import torch

from worker.training.fitting.checkpoint import pack, prefixed, unpack, without_prefix
from worker.training.progress import CheckpointUnreadableError


def test_what_is_packed_comes_back_bit_for_bit() -> None:
    tensors = {
        "weights": torch.randn(3, 5).T,  # not contiguous
        "bytes": torch.arange(7, dtype=torch.uint8),
        "sums": torch.tensor([1 / 3], dtype=torch.float64),
        "step": torch.tensor(4.0),
    }
    state = {"loss": 0.1 + 0.2, "best": None, "metrics": {"ndcg@10": 1 / 7}, "arm": "γ", "list": [1, 2]}
    back, state_back = unpack(pack(tensors, state))
    assert state_back == state
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)
    assert all(back[name].dtype == tensors[name].dtype for name in tensors)


def test_a_checkpoint_may_hold_state_alone() -> None:
    assert unpack(pack({}, {"epoch": 3})) == ({}, {"epoch": 3})


def test_packing_is_a_function_of_the_content() -> None:
    tensors = {"b": torch.ones(2), "a": torch.zeros(2)}
    assert pack(tensors, {"x": 1, "y": 2}) == pack(dict(reversed(tensors.items())), {"y": 2, "x": 1})


def test_numbers_that_json_has_not_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        pack({}, {"best": float("nan")})


GOOD = pack({"weights": torch.ones(4)}, {"epoch": 1})


def other_header(metadata: object) -> bytes:
    header = json.dumps({"__metadata__": metadata}).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"PK\x03\x04 a zip, or a pickle in one",
        GOOD[:-3],
        GOOD[:20],
        b"\xff" * 64,
        other_header({}),
        other_header({"state": "{"}),
        other_header({"state": "[1]"}),
        other_header({"state": '{"format": 99}'}),
    ],
)
def test_anything_else_is_a_clear_error(payload: bytes) -> None:
    with pytest.raises(CheckpointUnreadableError, match="checkpoint") as caught:
        unpack(payload)
    assert caught.value.code == "checkpoint_unreadable"
    assert caught.value.hint


def test_prefixes() -> None:
    tensors = {"a.b": torch.ones(1)}
    assert without_prefix("model", {**prefixed("model", tensors), "models.a": torch.ones(1)}) == tensors
