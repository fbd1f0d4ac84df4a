"""How a file is cut into parts: sizes, numbers, and which of them are still missing."""

from __future__ import annotations

from collections.abc import Mapping

from app.storage.blobs import CHUNK_BYTES

DEFAULT_PART_BYTES = 8 * CHUNK_BYTES
SMALLEST_PART_BYTES = CHUNK_BYTES
LARGEST_PART_BYTES = 64 * CHUNK_BYTES
MOST_PARTS = 10_000


def choose_part_bytes(total: int, wanted: int | None) -> int:
    """Bytes of every part but the last: whole MiB within the limits, near what is wanted.

    `total` is what the file has, or at most may have; where it would need more than MOST_PARTS parts, they
    are made larger.
    """
    asked = wanted or DEFAULT_PART_BYTES
    bounded = min(max(asked, SMALLEST_PART_BYTES), LARGEST_PART_BYTES)
    return _whole_chunks(max(bounded, -(-total // MOST_PARTS)))


def part_count(total: int, part_bytes: int) -> int:
    """How many parts a file of that many bytes has."""
    return -(-total // part_bytes)


def expected_bytes(n: int, total: int, part_bytes: int) -> int:
    """Bytes of part `n` (from 1) of a file of `total` bytes; 0 or less when it has no such part."""
    return min(part_bytes, total - (n - 1) * part_bytes)


def missing_parts(sizes: Mapping[int, int], total: int | None, part_bytes: int) -> list[int]:
    """Numbers of the parts that are not there, in order; `sizes` has the bytes of those that are.

    Where the file's length was not said, the last part there is taken for the last one; an earlier one that
    is short counts as missing, since it must be sent again whole.
    """
    last = max(sizes, default=1) if total is None else part_count(total, part_bytes)
    return [
        n
        for n in range(1, last + 1)
        if n not in sizes or (total is None and n < last and sizes[n] < part_bytes)
    ]


def _whole_chunks(size: int) -> int:
    return -(-size // CHUNK_BYTES) * CHUNK_BYTES
