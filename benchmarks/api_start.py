"""How long a job takes to begin, and the import of torch that it is set against."""

from __future__ import annotations

import subprocess
import sys
import time

from app.sdk.client import SteadyRank

SPEC = {"arms": ["standard"], "epochs": 20, "warmup_epochs": 0, "max_length": 20, "hidden_size": 16}


def first_step(client: SteadyRank, dataset_id: str) -> float:
    """Seconds from the request that submits a job to the first sight of a step of its training."""
    began = time.perf_counter()
    job = client.jobs.create(dataset_id, **SPEC)
    while not (job.progress.step or job.status in {"succeeded", "failed"}):
        time.sleep(0.02)
        job = client.jobs.get(job.id)
    seconds = time.perf_counter() - began
    if job.status == "failed":
        raise RuntimeError(f"the job failed: {job.error}")
    client.jobs.wait(job.id)
    return seconds


def import_seconds() -> float:
    """Seconds of a fresh interpreter that imports torch and ends."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - began
