"""Celery's tasks: ids in, three lines each, and running one twice is harmless."""

from __future__ import annotations

from app.db.models.batch_recommendation import BatchRecommendation
from app.db.models.dataset import Dataset
from app.db.models.evaluation import Evaluation
from app.task_names import EVALUATE_MODEL, PROBE_JOB, RECOMMEND_BATCH, RUN_JOB, VALIDATE_DATASET
from worker.celery_app import app
from worker.evaluation import evaluate_model
from worker.probe import probe_job
from worker.resources import process_resources
from worker.runner import run_job
from worker.shutdown import stop_signals_heard
from worker.taking import taken


@app.task(name=RUN_JOB, bind=True)  # type: ignore[untyped-decorator]
def run_job_task(self: object, job_id: str) -> None:
    """Make one attempt at a job, if it is waiting."""
    with stop_signals_heard() as stopping:
        worker = str(self.request.hostname)  # type: ignore[attr-defined]
        run_job(job_id, resources=process_resources(), worker=worker, stopping=stopping)


@app.task(name=VALIDATE_DATASET)  # type: ignore[untyped-decorator]
def validate_dataset_task(dataset_id: str) -> None:
    """Read and check a data set, if it is waiting."""
    with taken(process_resources(), Dataset, dataset_id), stop_signals_heard() as stopping:
        from worker.datasets import validate_dataset  # noqa: PLC0415 - polars only where files are read

        validate_dataset(dataset_id, resources=process_resources(), stopping=stopping)


@app.task(name=RECOMMEND_BATCH)  # type: ignore[untyped-decorator]
def recommend_batch_task(batch_id: str) -> None:
    """Recommend to every user of a data set, if that is waiting."""
    with taken(process_resources(), BatchRecommendation, batch_id), stop_signals_heard() as stopping:
        from worker.recommend import recommend_batch  # noqa: PLC0415 - polars only where files are read

        recommend_batch(batch_id, resources=process_resources(), stopping=stopping)


@app.task(name=EVALUATE_MODEL)  # type: ignore[untyped-decorator]
def evaluate_model_task(evaluation_id: str) -> None:
    """Measure a stored model on a data set, if that is waiting."""
    with taken(process_resources(), Evaluation, evaluation_id), stop_signals_heard() as stopping:
        evaluate_model(evaluation_id, resources=process_resources(), stopping=stopping)


@app.task(name=PROBE_JOB)  # type: ignore[untyped-decorator]
def probe_job_task(probe_id: str) -> None:
    """Measure what a job would cost, if somebody waits to hear it."""
    with stop_signals_heard() as stopping:
        probe_job(probe_id, resources=process_resources(), stopping=stopping)
