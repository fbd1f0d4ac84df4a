"""Download a file so that what ends up on disk is whole and right.

Bytes go to `<name>.part` beside the target and are renamed after size and SHA-256 agree. A cut connection is
taken up where it broke (Range with If-Range on the strong ETag), also by a later process. None of the files
that belong together is renamed before all are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import httpx

from app.sdk.errors import IntegrityError, ServiceUnreachableError
from app.sdk.transport import Transport


def download(
    transport: Transport,
    path: str,
    target: Path,
    *,
    size: int,
    sha256: str,
    attempts: int = 5,
    on_bytes: Callable[[int], None] | None = None,
) -> None:
    """Fetch `path` into `target`; a target that already holds the right bytes is left alone.

    `attempts` is how many cut connections in a row, none of which brought a byte, are put up with.
    `on_bytes` is told how many bytes are there so far. IntegrityError when the bytes are not `sha256`'s.
    """
    if fetch(transport, path, target, size=size, sha256=sha256, attempts=attempts, on_bytes=on_bytes):
        part_of(target).replace(target)


def fetch(
    transport: Transport,
    path: str,
    target: Path,
    *,
    size: int,
    sha256: str,
    attempts: int = 5,
    on_bytes: Callable[[int], None] | None = None,
) -> bool:
    """Do all that `download` does but rename: whether `part_of(target)` is to replace the target."""
    if target.is_file() and target.stat().st_size == size and sha256_of(target) == sha256:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(transport, path, part_of(target), size, sha256, on_bytes)
    resumed = 0 < part.have <= size
    if not resumed:
        part.forget()
    part.fill(attempts)
    if resumed and not part.is_whole():
        # What an earlier process left may have been another file's bytes: once more from the start.
        part.forget()
        part.fill(attempts)
    if not part.is_whole():
        part.forget()
        raise IntegrityError(
            f"{target.name}: the downloaded bytes do not have the promised size and SHA-256.",
            hint="Try again; if it stays so, the stored file or something on the way is damaged.",
        )
    return True


def replace_together(targets: Sequence[Path], key: Path) -> None:
    """Rename the fetched parts of files that are of no use without `key`, so that no mixture can be used.

    `key` goes first and comes back last: cut in between, the files are not whole, and the next download finds
    in parts what it needs.
    """
    last = [key] if targets and (key in targets or key.exists()) else []
    if key in targets:
        key.unlink(missing_ok=True)
    elif last:
        key.replace(part_of(key))
    for target in [*(one for one in targets if one != key), *last]:
        part_of(target).replace(target)


def part_of(target: Path) -> Path:
    """Where the bytes of a file gather that is not whole yet."""
    return target.with_name(target.name + ".part")


def safe_target(folder: Path, relative: str) -> Path:
    """Where a served file goes inside `folder`; refuses a path that would leave it."""
    parts = PurePosixPath(relative)
    if parts.is_absolute() or not parts.parts or ".." in parts.parts or "\\" in relative or ":" in relative:
        raise IntegrityError(f"the service names a file outside the download folder: {relative!r}")
    return folder.joinpath(*parts.parts)


@dataclass(frozen=True)
class _Part:
    """The part of a file that is there, and how to get the rest."""

    transport: Transport
    path: str
    file: Path
    size: int
    sha256: str
    on_bytes: Callable[[int], None] | None

    @property
    def have(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def forget(self) -> None:
        self.file.unlink(missing_ok=True)

    def is_whole(self) -> bool:
        return self.file.exists() and self.have == self.size and sha256_of(self.file) == self.sha256

    def fill(self, attempts: int) -> None:
        fruitless = 0
        while not self.file.exists() or self.have < self.size:
            before = self.have
            try:
                self._fetch(before)
            except httpx.RequestError as lost:
                fruitless = 0 if self.have > before else fruitless + 1
                if fruitless >= attempts:
                    raise ServiceUnreachableError(
                        f"the download of {self.file.stem} was cut off {fruitless} times in a row",
                        hint="Run it again: it goes on where it stopped.",
                    ) from lost
                self.transport.sleep(min(8.0, 0.5 * 2**fruitless))
            else:
                return

    def _fetch(self, have: int) -> None:
        headers = {"Range": f"bytes={have}-", "If-Range": f'"{self.sha256}"'} if have else {}
        with self.transport.stream(self.path, headers=headers) as response:
            # A 200 instead of a 206 is the whole file: the stored one is another than the part's.
            goes_on = response.status_code == httpx.codes.PARTIAL_CONTENT
            done = have if goes_on else 0
            with self.file.open("ab" if goes_on else "wb") as out:
                for block in response.iter_bytes():
                    out.write(block)
                    done += len(block)
                    if self.on_bytes:
                        self.on_bytes(done)


def sha256_of(path: Path) -> str:
    """The digest of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
