"""Reading an uploaded data set, in the light worker: blob → file → interactions → parquet, or problems.

Run twice it is harmless, since a claim has a fencing number. If it dies (a file can be larger than the
memory) the reaper wakes another attempt, and rejects the data set after the last one.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import polars as pl

from app.datasets.validation import Claim, Reading, accept, claim_validation, reject, renew
from app.storage.blobs import CHUNK_BYTES, BlobStore, BlobWriter
from worker.resources import Resources
from worker.training.data.readers.problems import Problem, UnreadableDataset
from worker.training.data.readers.read import ReadOptions, ReadResult, read_interactions

CANONICAL_CONTENT_TYPE = "application/vnd.apache.parquet"

_READER_FAILED = Problem(
    code="reader_failed",
    message="the file could not be read, for a reason that is the service's own",
    pointer="/",
    hint="The light worker's log names the reason under the data set's id; please report it.",
)

logger = logging.getLogger(__name__)


def validate_dataset(dataset_id: str, *, resources: Resources) -> None:
    """Make one attempt at reading a data set; does nothing when it does not wait to be read."""
    lease = resources.settings.lease_seconds
    with resources.database.unit_of_work() as session:
        claim = claim_validation(session, dataset_id, lease_seconds=lease)
    if claim is None:
        logger.info("data set %s does not wait to be read", dataset_id)
        return
    with _kept_alive(resources, claim), tempfile.TemporaryDirectory(prefix="steadyrank-") as folder:
        original = Path(folder) / "original"
        _download(resources.blobs, claim.original_blob, original)
        try:
            result = read_interactions(original, _options(claim, resources), filename=claim.filename)
        except UnreadableDataset as error:
            _rejected(resources, claim, error.problems)
            return
        except (OSError, MemoryError):
            raise  # the machine's fault, not the file's: another attempt may fare better
        except (Exception, pl.exceptions.PanicException):
            # Told at once, rather than after as many attempts that end the same way.
            logger.exception("reading data set %s failed", claim.dataset_id)
            _rejected(resources, claim, [_READER_FAILED])
            return
        canonical = Path(folder) / "interactions.parquet"
        result.interactions.write_parquet(canonical)
        _accepted(resources, claim, result, canonical)


def _options(claim: Claim, resources: Resources) -> ReadOptions:
    settings = resources.settings
    return ReadOptions(**claim.options, max_rows=settings.max_rows, max_bytes=settings.max_decompressed_bytes)


def _rejected(resources: Resources, claim: Claim, problems: Sequence[Problem]) -> None:
    with resources.database.unit_of_work() as session:
        settled = reject(session, claim, [asdict(problem) for problem in problems])
    why = "; ".join(problem.message for problem in problems)
    logger.info("data set %s rejected (claim held: %s): %s", claim.dataset_id, settled, why)


def _accepted(resources: Resources, claim: Claim, result: ReadResult, canonical: Path) -> None:
    reading = Reading(
        format=result.format,
        columns=result.columns,
        stats=result.stats,
        problems=[asdict(problem) for problem in result.problems],
    )
    writer = resources.blobs.open_writer(CANONICAL_CONTENT_TYPE)
    try:
        _upload(canonical, writer)
        with resources.database.unit_of_work() as session:
            if not accept(session, claim, reading, writer.blob_id):
                raise _ClaimLostError
            writer.finish(session)
    except _ClaimLostError:
        writer.abort()
        logger.info("data set %s is no longer this attempt's; nothing was changed", claim.dataset_id)
    except BaseException:
        writer.abort()
        raise
    else:
        logger.info("data set %s ready: %s", claim.dataset_id, dict(result.stats))


class _ClaimLostError(Exception):
    """The data set was deleted meanwhile, or another attempt has it."""


def _download(blobs: BlobStore, blob_id: str, target: Path) -> None:
    with target.open("wb") as file:
        for piece in blobs.read(blob_id):
            file.write(piece)


def _upload(source: Path, writer: BlobWriter) -> None:
    with source.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            writer.write(piece)


@contextmanager
def _kept_alive(resources: Resources, claim: Claim) -> Iterator[None]:
    """Renew the claim from a thread while the block runs; reading is one long call into native code."""
    lease = resources.settings.lease_seconds
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(lease / 3):
            try:
                with resources.database.unit_of_work() as session:
                    if not renew(session, claim, lease_seconds=lease):
                        return
            except Exception:
                logger.warning("the claim on %s could not be renewed", claim.dataset_id, exc_info=True)

    thread = threading.Thread(target=beat, name="dataset-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
