"""The arithmetic of parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.storage.blobs import CHUNK_BYTES
from app.uploads.layout import (
    LARGEST_PART_BYTES,
    MOST_PARTS,
    choose_part_bytes,
    expected_bytes,
    missing_parts,
    part_count,
)

MIB = CHUNK_BYTES


@given(st.integers(1, 10**14), st.none() | st.integers(1, 10**9))
def test_parts_make_up_the_file_and_are_whole_chunks(total: int, wanted: int | None) -> None:
    part_bytes = choose_part_bytes(total, wanted)
    count = part_count(total, part_bytes)
    assert part_bytes % CHUNK_BYTES == 0
    assert count <= MOST_PARTS
    assert part_bytes <= LARGEST_PART_BYTES or part_count(total, part_bytes - MIB) > MOST_PARTS
    first_and_last = {expected_bytes(n, total, part_bytes) for n in (1, count)}
    assert max(first_and_last) <= part_bytes
    assert (count - 1) * part_bytes + expected_bytes(count, total, part_bytes) == total
    assert expected_bytes(count + 1, total, part_bytes) <= 0


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [(None, 8 * MIB), (1, MIB), (MIB + 1, 2 * MIB), (10**12, LARGEST_PART_BYTES)],
)
def test_a_wish_is_bounded_and_rounded_up(wanted: int | None, chosen: int) -> None:
    assert choose_part_bytes(10 * MIB, wanted) == chosen


@pytest.mark.parametrize(
    ("sizes", "total", "missing"),
    [
        ({}, 5 * MIB, [1, 2, 3]),
        ({2: 2 * MIB}, 5 * MIB, [1, 3]),
        ({1: 2 * MIB, 2: 2 * MIB, 3: MIB}, 5 * MIB, []),
        ({}, None, [1]),
        ({1: 5}, None, []),
        ({1: 2 * MIB, 4: 5}, None, [2, 3]),
        ({1: 2 * MIB, 2: MIB, 3: 2 * MIB}, None, [2]),
    ],
)
def test_what_is_missing(sizes: dict[int, int], total: int | None, missing: list[int]) -> None:
    assert missing_parts(sizes, total, 2 * MIB) == missing
