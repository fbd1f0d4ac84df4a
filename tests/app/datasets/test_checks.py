"""At-once faults of a file, in pieces of every size."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.datasets.checks import UploadCheck
from app.datasets.compressed_files import zstd
from app.errors import SteadyRankError

TEXT = b"u1,i1,1\nu2,i2,2\n" * 200
MEMBERS = gzip.compress(TEXT) + gzip.compress(b"u3,i3,3\n") + b"\0" * 512
ZSTD = zstd.compress(TEXT, options={zstd.CompressionParameter.checksum_flag: 1})
FRAMES = b"\x50\x2a\x4d\x18\x04\0\0\0skip" + ZSTD + zstd.compress(b"u3,i3,3\n")
_wide = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 24})
WIDE = _wide.compress(TEXT) + _wide.flush()
PARQUET = b"PAR1" + bytes(range(256)) + b"PAR1"


def _outcome(data: bytes, step: int, *, max_bytes: int = 10**7, max_decompressed_bytes: int = 10**7) -> str:
    check = UploadCheck(max_bytes=max_bytes, max_decompressed_bytes=max_decompressed_bytes)
    try:
        for start in range(0, len(data), step):
            check.feed(data[start : start + step])
        check.finish()
    except SteadyRankError as error:
        return error.code
    return "ok"


CASES = [
    (TEXT, "ok"),
    (b"u i\n", "ok"),
    (b"a", "ok"),
    (gzip.compress(TEXT), "ok"),
    (MEMBERS, "ok"),
    (PARQUET, "ok"),
    (gzip.compress(PARQUET), "ok"),
    (b"BZhours,items\n1,2\n", "ok"),
    (ZSTD, "ok"),
    (FRAMES, "ok"),
    (zstd.compress(PARQUET), "ok"),
    (zstd.compress(b""), "empty_file"),
    (zstd.compress(b"\x7fELF\0\0"), "binary_file"),
    (WIDE, "unsupported_compression"),
    (zstd.compress(ZSTD), "unsupported_compression"),
    (gzip.compress(ZSTD), "unsupported_compression"),
    (b"\x28\xb5\x2f\xfd" + TEXT, "broken_zstd"),
    (ZSTD[:-1], "broken_zstd"),
    (ZSTD[:20], "broken_zstd"),
    (ZSTD[:4], "broken_zstd"),
    (ZSTD[:-2] + b"\0\0", "broken_zstd"),
    (ZSTD + b"garbage", "broken_zstd"),
    (bz2.compress(TEXT), "unsupported_compression"),
    (bz2.compress(b""), "unsupported_compression"),
    (lzma.compress(TEXT), "unsupported_compression"),
    (gzip.compress(gzip.compress(TEXT)), "unsupported_compression"),
    (b"", "empty_file"),
    (gzip.compress(b""), "empty_file"),
    (TEXT + b"\0", "binary_file"),
    (b"\0", "binary_file"),
    (b"PK\x03\x04\0\0", "unsupported_compression"),
    ("u,i\n1,2\n".encode("utf-16"), "binary_file"),
    (gzip.compress(b"\x7fELF\0\0"), "binary_file"),
    (PARQUET[:-3], "broken_parquet"),
    (b"PAR1", "broken_parquet"),
    (gzip.compress(TEXT)[:-1], "broken_gzip"),
    (gzip.compress(TEXT)[:30], "broken_gzip"),
    (b"\x1f\x8b", "broken_gzip"),
    (gzip.compress(TEXT) + b"garbage", "broken_gzip"),
    (gzip.compress(TEXT)[:-8] + b"\0" * 8, "broken_gzip"),
]


@pytest.mark.parametrize("step", [1, 7, 10**6])
@pytest.mark.parametrize(("data", "code"), CASES, ids=range(len(CASES)))
def test_cases(data: bytes, code: str, step: int) -> None:
    assert _outcome(data, step) == code


def test_limits_are_exact() -> None:
    assert _outcome(TEXT, 100, max_bytes=len(TEXT)) == "ok"
    assert _outcome(TEXT, 100, max_bytes=len(TEXT) - 1) == "payload_too_large"
    for packed in (gzip.compress(TEXT), ZSTD):
        assert _outcome(packed, 9, max_decompressed_bytes=len(TEXT)) == "ok"
        assert _outcome(packed, 9, max_decompressed_bytes=len(TEXT) - 1) == "decompressed_too_large"


@pytest.mark.parametrize("packer", [zlib.compressobj(9, wbits=31), zstd.ZstdCompressor(9)])
def test_a_bomb_is_stopped_in_bounded_memory(packer: Any) -> None:
    bomb = b"".join(packer.compress(b" " * 2**20) for _ in range(64)) + packer.flush()
    assert len(bomb) < 100_000
    tracemalloc.start()
    assert _outcome(bomb, len(bomb), max_decompressed_bytes=2**22) == "decompressed_too_large"
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=300), st.integers(1, 50))
def test_the_pieces_do_not_matter(data: bytes, step: int) -> None:
    assert _outcome(data, step) == _outcome(data, 10**6)
    for packed in (gzip.compress(data), zstd.compress(data), zstd.compress(data)[:-2] + data):
        assert _outcome(packed, step) == _outcome(packed, 10**6)
