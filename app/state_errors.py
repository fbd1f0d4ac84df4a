"""Conflicts: what a thing's state, or what uses it, does not allow.

ConflictError
├── InUseError              409 dataset_in_use, model_in_use, … (lists what uses it)
├── DatasetNotReadyError    409 dataset_not_ready, dataset_rejected
├── JobStateError           409 job_state, job_in_use (lists the worker that has it), …
└── UploadStateError        409 upload_closed, upload_busy, …
"""

from __future__ import annotations

from collections.abc import Sequence

from app.errors import ConflictError


class InUseError(ConflictError):
    """Something cannot be deleted while other things use it; `used_by` lists their ids."""

    code = "in_use"
    title = "In use"

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        used_by: Sequence[str],
        hint: str | None = None,
        pointer: str | None = None,
    ) -> None:
        super().__init__(detail, code=code, hint=hint, pointer=pointer, extra={"used_by": list(used_by)})


class DatasetNotReadyError(ConflictError):
    """A data set that is still being read, or was rejected, cannot be trained on."""

    code = "dataset_not_ready"
    title = "Data set not ready"
    pointer = "/dataset"


class JobStateError(ConflictError):
    """A job's state does not allow the move."""

    code = "job_state"
    title = "Not possible in this state of the job"
    pointer = "path:job_id"


class UploadStateError(ConflictError):
    """An upload in parts is not in a state that allows the request."""

    code = "upload_closed"
    title = "Not possible in this state of the upload"
    pointer = "path:upload_id"
