"""Names of the tasks and of their queues: fixed strings, which who sends and who works both import.

Apart from the Celery application, which a training process has no use for.
"""

from __future__ import annotations

VALIDATE_DATASET = "steadyrank.validate_dataset"
RUN_JOB = "steadyrank.run_job"
RECOMMEND_BATCH = "steadyrank.recommend_batch"
EVALUATE_MODEL = "steadyrank.evaluate_model"
PROBE_JOB = "steadyrank.probe_job"
LIGHT_QUEUE = "light"
MEASURE_QUEUE = "measure"
TRAIN_QUEUE = "train"
QUEUES = (TRAIN_QUEUE, LIGHT_QUEUE, MEASURE_QUEUE)
