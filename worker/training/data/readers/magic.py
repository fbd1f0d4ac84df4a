"""What a file is, by how it begins. Imports nothing but `re`, so the API process may import it."""

from __future__ import annotations

import re
from typing import Final

MAGIC_BYTES: Final = 10
"""So many first bytes tell everything."""
GZIP: Final = b"\x1f\x8b"
PARQUET: Final = b"PAR1"
ZSTD: Final = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", re.DOTALL)
"""A frame, or one to be skipped with which some parallel compressors begin (RFC 8878)."""
ZSTD_WINDOW_LOG: Final = 23
"""Windows of up to 8 MiB, which RFC 8878 asks every decoder to take: the memory that a stream costs."""
_ARCHIVES: Final = (
    # Three letters alone could be the name of a column.
    (re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", re.DOTALL), "bzip2-compressed"),
    (re.compile(re.escape(b"\xfd7zXZ\x00")), "xz-compressed"),
    (re.compile(re.escape(b"PK\x03\x04")), "a zip archive or a spreadsheet"),
    (re.compile(re.escape(b"7z\xbc\xaf\x27\x1c")), "a 7-zip archive"),
)


def archive(head: bytes) -> str | None:
    """What a file is that begins so and that no reader takes; None for any other."""
    return next((what for beginning, what in _ARCHIVES if beginning.match(head)), None)


def is_compressed(head: bytes) -> bool:
    """Whether a file that begins so is one that is decompressed: gzip or Zstandard."""
    return head.startswith(GZIP) or ZSTD.match(head) is not None
