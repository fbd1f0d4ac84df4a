from __future__ import annotations

import io
import os
import threading
import tracemalloc

import polars as pl
import pytest

from app.sdk.bodies import READ_BYTES, body_of
from app.sdk.errors import IntegrityError


def test_a_path_can_be_read_again_and_is_counted(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"x" * (READ_BYTES + 5))
    told: list[tuple[int, int | None]] = []
    body = body_of(path, lambda sent, total: told.append((sent, total)))
    assert [len(block) for block in body.open()] == [READ_BYTES, 5]
    assert told == [(READ_BYTES, READ_BYTES + 5), (READ_BYTES + 5, READ_BYTES + 5)]
    assert b"".join(body.open()) == path.read_bytes()
    assert body.repeatable


def test_a_missing_path_fails_before_anything_is_sent(tmp_path):
    with pytest.raises(FileNotFoundError):
        body_of(tmp_path / "none")


def test_an_open_file_is_sent_from_where_it_stands():
    file = io.BytesIO(b"header\nrest")
    file.read(7)
    body = body_of(file)
    assert (body.size, body.repeatable) == (4, True)
    assert [b"".join(body.open()) for _ in range(2)] == [b"rest", b"rest"]
    assert not file.closed


def test_a_pipe_is_sent_once():
    read, write = os.pipe()
    os.write(write, b"a,b\n")
    os.close(write)
    with open(read, "rb") as pipe:
        body = body_of(pipe)
        assert (body.size, body.repeatable) == (None, False)
        assert b"".join(body.open()) == b"a,b\n"


def test_a_data_frame_is_told_what_to_do():
    with pytest.raises(TypeError, match="write_parquet"):
        body_of(pl.DataFrame({"user": ["u1"], "item": ["i1"]}))


def test_bytes_and_iterables():
    assert (body_of(b"ab").size, body_of(b"ab").repeatable) == (2, True)
    assert b"".join(body_of(bytearray(b"ab")).open()) == b"ab"
    assert (body_of([b"a", b"b"]).size, body_of([b"a", b"b"]).repeatable) == (None, False)


def test_a_large_file_takes_constant_memory(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(64 * READ_BYTES)
    tracemalloc.start()
    try:
        total = sum(len(block) for block in body_of(path).open())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == 64 * READ_BYTES
    assert peak < 4 * READ_BYTES


def test_a_named_pipe_is_sent_once_and_without_a_length(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"a,b\n",))
    body = body_of(pipe)
    assert (body.size, body.repeatable) == (None, False)
    writer.start()
    assert b"".join(body.open()) == b"a,b\n"
    writer.join(30)


def test_of_a_log_that_grows_what_was_there_is_sent_and_one_that_shrinks_is_an_error(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"12345")
    body = body_of(path)
    path.write_bytes(b"1234567")
    assert b"".join(body.open()) == b"12345"
    path.write_bytes(b"12")
    with pytest.raises(IntegrityError, match="log became shorter"):
        b"".join(body.open())
