from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, update

import worker.sinks
from app.db.models.blob import Blob, BlobChunk
from app.db.models.checkpoint import Checkpoint
from app.db.models.job import Job
from app.db.models.job_event import JobEvent
from app.db.models.job_metric import JobMetric
from app.db.session import Database
from app.jobs.claims import Claim, LeaseLost, claim, hold, release
from app.storage.database import DatabaseBlobStore
from tests.factories import make_job, make_ready_dataset
from worker.job_checkpoints import JobCheckpoints
from worker.sinks import JobProgress
from worker.training.progress import (
    CheckpointKey,
    CheckpointUnreadableError,
    Control,
    EpochMetrics,
    StepProgress,
)

LEASE = timedelta(seconds=30)


class Run:
    """One attempt and its sinks."""

    def __init__(self, database: Database, blobs: DatabaseBlobStore, claimed: Claim) -> None:
        self.claimed = claimed
        self.beats = 0
        self.control = Control.CONTINUE
        self.progress = JobProgress(database, claimed, beat=self.beat, control=lambda: self.control)
        self.checkpoints = JobCheckpoints(database, blobs, claimed, beat=self.beat)

    def beat(self) -> None:
        self.beats += 1


def attempt(database: Database, blobs: DatabaseBlobStore, job_id: str) -> Run:
    with database.unit_of_work() as session:
        claimed = claim(session, job_id, worker="w@host", lease=LEASE)
    assert claimed is not None
    return Run(database, blobs, claimed)


@pytest.fixture
def run(database: Database, blobs: DatabaseBlobStore) -> Run:
    with database.unit_of_work() as session:
        job_id = make_job(session, make_ready_dataset(session, blobs)).id
    return attempt(database, blobs, job_id)


def following(database: Database, blobs: DatabaseBlobStore, run: Run) -> Run:
    """The next attempt at the same job."""
    with database.unit_of_work() as session:
        release(session, run.claimed, message="bye")
    return attempt(database, blobs, run.claimed.job_id)


def at(step: int, fraction: float) -> StepProgress:
    return StepProgress("cascade", 0, 2, 9, step, 90, fraction, 1234.5)


def epoch(number: int, loss: float) -> EpochMetrics:
    return EpochMetrics("standard", 0, number, loss, None, None, {"ndcg@10": loss / 3}, 1.5)


def test_a_step_beats_always_writes_seldom_and_answers(
    database: Database, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(worker.sinks, "time", SimpleNamespace(monotonic=lambda: now))

    def shown() -> dict[str, Any]:
        with database.unit_of_work() as session:
            progress = session.get_one(Job, run.claimed.job_id).progress
        assert progress is not None
        return progress

    for step in range(50):
        assert run.progress.step(at(step, step / 90)) is Control.CONTINUE
        now += 0.009
    assert run.beats == 50
    assert shown()["step"] == 0
    now = 1000.5
    run.control = Control.SAVE_AND_STOP
    assert run.progress.step(at(51, 0.6)) is Control.SAVE_AND_STOP
    assert (shown()["step"], shown()["epoch"], shown()["total_steps"]) == (51, 2, 90)
    assert shown()["examples_per_second"] == 1234.5


def test_a_phase_is_shown_and_told_once(
    database: Database, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "worker.sinks")
    run.progress.phase("attacking", arm="baselines")
    run.progress.phase("training", arm="cascade", seed=3)
    run.progress.phase("training", arm="cascade", seed=3)
    assert caplog.messages == ["phase attacking, baselines", "phase training, arm cascade, seed 3"]
    run.progress.event("nothing_learnt", "no better than popularity", {"arm": "cascade"})
    with database.unit_of_work() as session:
        job = session.get_one(Job, run.claimed.job_id)
        assert (job.phase, job.arm, job.seed) == ("training", "cascade", 3)
        events = session.execute(select(JobEvent).order_by(JobEvent.sequence)).scalars().all()[2:]
        assert [(e.type, e.level) for e in events] == [
            ("job.phase", "info"),
            ("job.phase", "info"),
            ("training.nothing_learnt", "warning"),
        ]
        assert events[0].message == "Phase attacking, baselines."
        assert events[2].data == {"arm": "cascade"}


def test_an_epoch_reported_again_replaces_its_row_in_place(
    database: Database, blobs: DatabaseBlobStore, run: Run
) -> None:
    for number in (1, 2, 3):
        run.progress.epoch(epoch(number, 0.1 * number))
    again = following(database, blobs, run)
    again.progress.epoch(epoch(2, 0.25))
    again.progress.epoch(epoch(4, 1 / 3))
    with database.unit_of_work() as session:
        rows = session.execute(select(JobMetric).order_by(JobMetric.position)).scalars().all()
        assert [(row.epoch, row.attempt) for row in rows] == [(1, 1), (2, 2), (3, 1), (4, 2)]
        assert rows[1].loss == 0.25
        assert rows[3].loss == 1 / 3  # to the bit
        assert rows[3].validation == {"ndcg@10": 1 / 3 / 3}


def test_the_last_two_of_a_running_arm_are_kept_and_one_of_the_rest(database: Database, run: Run) -> None:
    for step in (10, 20, 30):
        run.checkpoints.save(CheckpointKey("progress", 0, "cascade", 1, step), b"p%d" % step)
        run.checkpoints.save(CheckpointKey("best", 0, "cascade", 1, step), b"b%d" % step)
    run.checkpoints.save(CheckpointKey("progress", 1, "cascade", 1, 5), b"other seed")
    kept = run.checkpoints.load("progress", 0, "cascade")
    assert [(key.step, payload) for key, payload in kept] == [(30, b"p30"), (20, b"p20")]
    assert [payload for _, payload in run.checkpoints.load("best", 0, "cascade")] == [b"b30"]
    assert run.checkpoints.load("warmup", 0, "warmup") == []
    run.checkpoints.discard("progress", 0, "cascade")
    assert run.checkpoints.load("progress", 0, "cascade") == []
    assert [p for _, p in run.checkpoints.load("progress", 1, "cascade")] == [b"other seed"]
    with database.unit_of_work() as session:
        blobs = session.execute(
            select(Blob.id).where(Blob.content_type == "application/x-safetensors")
        ).scalars()
        referred = session.execute(select(Checkpoint.blob_id)).scalars()
        assert sorted(blobs) == sorted(referred)


def test_a_later_attempt_loads_what_earlier_ones_saved_and_its_own_first(
    database: Database, blobs: DatabaseBlobStore, run: Run
) -> None:
    run.checkpoints.save(CheckpointKey("progress", 0, "cascade", 2, 200), b"unusable, say")
    run.checkpoints.save(CheckpointKey("progress", 0, "cascade", 1, 100), b"earlier")
    again = following(database, blobs, run)
    loaded = again.checkpoints.load("progress", 0, "cascade")
    assert [key.step for key, _ in loaded] == [200, 100]
    again.checkpoints.save(CheckpointKey("progress", 0, "cascade", 1, 150), b"of this attempt")
    loaded = again.checkpoints.load("progress", 0, "cascade")
    assert [key.step for key, _ in loaded] == [150, 200]


def test_a_damaged_checkpoint_is_passed_over_and_only_damaged_ones_are_an_error(
    database: Database, run: Run
) -> None:
    for step in (1, 2):
        run.checkpoints.save(CheckpointKey("progress", 0, "cascade", 1, step), b"state %d" % step)
    with database.unit_of_work() as session:
        newest = session.execute(select(Checkpoint.blob_id).where(Checkpoint.step == 2)).scalar_one()
        session.execute(update(BlobChunk).where(BlobChunk.blob_id == newest).values(data=b"STATE 2"))
    assert [payload for _, payload in run.checkpoints.load("progress", 0, "cascade")] == [b"state 1"]
    with database.unit_of_work() as session:
        session.execute(update(BlobChunk).values(data=b"nonsense"))
    with pytest.raises(CheckpointUnreadableError) as raised:
        run.checkpoints.load("progress", 0, "cascade")
    assert raised.value.code == "checkpoint_unreadable"


def test_an_old_attempt_writes_nothing(database: Database, blobs: DatabaseBlobStore, run: Run) -> None:
    run.checkpoints.save(CheckpointKey("progress", 0, "cascade", 1, 1), b"kept")
    following(database, blobs, run)
    with database.unit_of_work() as session:
        before = session.execute(select(Job.last_sequence)).scalar_one()
    for write in (
        lambda: run.progress.phase("training", arm="cascade", seed=0),
        lambda: run.progress.step(at(1, 0.1)),
        lambda: run.progress.epoch(epoch(1, 0.1)),
        lambda: run.progress.event("early_stopped", "no"),
        lambda: run.checkpoints.save(CheckpointKey("progress", 0, "cascade", 9, 9), b"ghost"),
        lambda: run.checkpoints.discard("progress", 0, "cascade"),
    ):
        with pytest.raises(LeaseLost):
            write()
    with database.unit_of_work() as session:
        assert session.execute(select(Job.last_sequence)).scalar_one() == before
        assert session.execute(select(JobMetric)).scalars().all() == []
        assert [row.step for row in session.execute(select(Checkpoint)).scalars()] == [1]
        assert session.execute(select(Blob).where(Blob.size == len(b"ghost"))).scalars().all() == []
        with pytest.raises(LeaseLost):
            hold(session, run.claimed)
