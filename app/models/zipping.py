"""A zip file that is never whole in memory: its size is known before, its bytes come while it is read.

Entries are stored as they are (weights do not shrink), with the first time that a zip can name, so that the
same members always make the same bytes. Sizes and digests of entries stand behind them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

LARGEST_32_BIT = (1 << 31) - 1
"""From here on `zipfile` writes sizes and offsets with 64 bits."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = 0o644 << 16
_UNIX = 3


@dataclass(frozen=True)
class Member:
    """One file of a zip: its path, its length in bytes, and how to read it."""

    path: str
    size: int
    read: Callable[[], Iterator[bytes]]

    @property
    def is_large(self) -> bool:
        """Whether its sizes take 64 bits; with zipfile's own allowance."""
        return self.size * 1.05 > LARGEST_32_BIT


def zip_size(members: Sequence[Member]) -> int:
    """How many bytes the zip of these members has."""
    offset = directory = 0
    for member in members:
        name = len(member.path.encode())
        wide = 2 * (member.size > LARGEST_32_BIT) + (offset > LARGEST_32_BIT)
        directory += 46 + name + (4 + 8 * wide if wide else 0)
        offset += 30 + name + member.size + (20 + 24 if member.is_large else 16)
    wide_end = len(members) > 0xFFFF or offset > LARGEST_32_BIT or directory > LARGEST_32_BIT
    return offset + directory + 22 + (56 + 20 if wide_end else 0)


def zip_bytes(members: Sequence[Member]) -> Iterator[bytes]:
    """The zip of these members, piece by piece; what is held is one piece and the list of entries."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for member in members:
            entry = zipfile.ZipInfo(member.path, _EPOCH)
            entry.external_attr, entry.create_system, entry.file_size = _MODE, _UNIX, member.size
            with archive.open(entry, "w", force_zip64=member.is_large) as out:
                for piece in member.read():
                    out.write(piece)
                    yield sink.taken()
    yield sink.taken()


def part_of(pieces: Iterator[bytes], start: int, stop: int) -> Iterator[bytes]:
    """The bytes [start, stop) of these pieces; what comes before is made and dropped."""
    at = 0
    for piece in pieces:
        wanted = piece[max(start - at, 0) : max(stop - at, 0)]
        if wanted:
            yield wanted
        at += len(piece)
        if at >= stop:
            return


class _Sink:
    """What zipfile writes to: a file that cannot seek."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def write(self, data: bytes) -> int:
        self._kept += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits anywhere else."""

    def taken(self) -> bytes:
        """What was written since the last call."""
        taken = bytes(self._kept)
        self._kept.clear()
        return taken
