"""The events that an endpoint can ask for."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

ALL = "*"
"""What an endpoint that wants every event says, those of later releases included."""
TEST = "webhook.test"
"""Goes to one endpoint, on request, whatever it has asked for."""


class WebhookEvent(StrEnum):
    """What happened."""

    JOB_QUEUED = "job.queued"
    JOB_STARTED = "job.started"
    JOB_PAUSED = "job.paused"
    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    DATASET_READY = "dataset.ready"
    DATASET_REJECTED = "dataset.rejected"
    EVALUATION_SUCCEEDED = "evaluation.succeeded"
    EVALUATION_FAILED = "evaluation.failed"
    EVALUATION_CANCELLED = "evaluation.cancelled"
    RECOMMENDATIONS_SUCCEEDED = "recommendations.succeeded"
    RECOMMENDATIONS_FAILED = "recommendations.failed"
    ENDPOINT_DISABLED = "webhook_endpoint.disabled"


OF_JOB_STATUS: Mapping[str, WebhookEvent] = {
    "queued": WebhookEvent.JOB_QUEUED,
    "running": WebhookEvent.JOB_STARTED,
    "paused": WebhookEvent.JOB_PAUSED,
    "succeeded": WebhookEvent.JOB_SUCCEEDED,
    "failed": WebhookEvent.JOB_FAILED,
    "cancelled": WebhookEvent.JOB_CANCELLED,
}
"""What a job's move to a status is called; `pausing` and `cancelling` are only on the way."""
