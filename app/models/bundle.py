"""A model as one zip: its files, the job's report, and the loader with which it recommends without us."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models.job import Job
from app.db.models.model import Model
from app.models import queries
from app.models.zipping import Member, part_of, zip_bytes, zip_size
from app.storage.blobs import CHUNK_BYTES, BlobStore

REPORT_FILE = "report.json"
LOADER_FILE = "load.py"
PORTABLE_FILE = "portable.py"
LOADER = '''"""Recommend with the model in this folder. Needs Python 3.11 and numpy, nothing else.

    python load.py [-k 10] ITEM ITEM ...     # item ids, oldest first; the best next items as JSON

or, from Python, with this folder on the path:

    from load import model
    model.recommend(["ITEM", "ITEM"], k=10, exclude_seen=True, replace={-1: "ITEM"})
"""

import argparse
import json
from pathlib import Path

from portable import load_model

model = load_model(Path(__file__).parent)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Recommend what comes next after a history of items.")
    parser.add_argument("history", nargs="+", metavar="ITEM", help="item ids, oldest first")
    parser.add_argument("-k", type=int, default=10, help="how many items")
    asked = parser.parse_args()
    try:
        found = model.recommend(asked.history, asked.k)
    except ValueError as wrong:  # an unknown item, or a number that cannot be
        parser.error(str(wrong))
    print(json.dumps([{"item": item, "score": score} for item, score in found]))
'''

_KNOWN_DIGESTS = 1024
_lock = threading.Lock()
_digests: OrderedDict[str, str] = OrderedDict()


@dataclass(frozen=True)
class Bundle:
    """A zip that can be served: its bytes are made when they are read."""

    members: Sequence[Member]
    size: int
    sha256: str

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes [start, stop). A part is made by making what stands before it, too."""
        return part_of(zip_bytes(self.members), start, stop)


def bundle_of(session: Session, blobs: BlobStore, model: Model) -> Bundle:
    """The bundle of a model; without report.json when the job was deleted.

    Its SHA-256 takes one pass over the files; then this process remembers it.
    """
    members: list[Member] = []
    contents = hashlib.sha256()

    def add(path: str, size: int, sha256: str, member: Member) -> None:
        contents.update(f"{path}\0{size}\0{sha256}\n".encode())
        members.append(member)

    for file in queries.files_of(session, [model])[model.id]:
        add(file.path, file.bytes, file.sha256, _stored(blobs, file.path, file.blob_id, file.bytes))
    taken = {member.path for member in members}
    for path, data in (
        (REPORT_FILE, _report(session, model)),
        (PORTABLE_FILE, package_files("worker.training").joinpath("portable.py").read_bytes()),
        (LOADER_FILE, LOADER.encode()),
    ):
        if data is not None and path not in taken:
            add(path, len(data), hashlib.sha256(data).hexdigest(), _given(path, data))
    return Bundle(members, zip_size(members), _digest(contents.hexdigest(), members))


def _report(session: Session, model: Model) -> bytes | None:
    report = session.execute(select(Job.report).where(Job.id == model.job_id)).scalar_one_or_none()
    return None if report is None else json.dumps(report, ensure_ascii=False, indent=2).encode()


def _stored(blobs: BlobStore, path: str, blob_id: str, size: int) -> Member:
    return Member(path, size, lambda: blobs.read(blob_id))


def _given(path: str, data: bytes) -> Member:
    pieces = [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]
    return Member(path, len(data), lambda: iter(pieces))


def _digest(contents: str, members: Sequence[Member]) -> str:
    """The zip's SHA-256, found by what is in it or worked out."""
    with _lock:
        known = _digests.get(contents)
    if known is None:
        whole = hashlib.sha256()
        for piece in zip_bytes(members):
            whole.update(piece)
        known = whole.hexdigest()
        with _lock:
            _digests[contents] = known
            while len(_digests) > _KNOWN_DIGESTS:
                _digests.popitem(last=False)
    return known
