"""What to do about an attempt that failed, in words that more than one process says."""

from __future__ import annotations

UPLOAD_AGAIN = "Upload the data set again, then submit the job again."
DAMAGED = (
    "Stored bytes are damaged. Upload the data set again, or train the model again that was read; "
    "an operator can restore them from a backup."
)
NEEDS_MEMORY = "Lower batch_size, hidden_size or max_length, or give the worker more memory."
