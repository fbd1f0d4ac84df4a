"""A checkpoint is one safetensors file: tensors by name, and a JSON state in its metadata. No pickle.

JSON keeps Python floats exactly, so a state read back equals the one written bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from worker.training.progress import CheckpointUnreadableError

FORMAT = 1
_DAMAGED = "Take an older checkpoint, or start the run again."


def pack(tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> bytes:
    """Return one safetensors file with copies of `tensors` on the CPU and `state` as JSON in its metadata.

    Raises ValueError for a non-finite float in `state`: JSON has none.
    """
    document = json.dumps({"format": FORMAT, **state}, allow_nan=False, sort_keys=True)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return safetensors.torch.save(plain, metadata={"state": document})


def unpack(payload: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what `pack` was given. Raises CheckpointUnreadableError for anything else."""
    try:
        tensors = safetensors.torch.load(payload)
        state = json.loads(_metadata(payload)["state"])
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CheckpointUnreadableError(f"not a readable checkpoint: {error}", hint=_DAMAGED) from error
    if not isinstance(state, dict) or state.pop("format", None) != FORMAT:
        raise CheckpointUnreadableError(f"not a checkpoint of format {FORMAT}", hint=_DAMAGED)
    return tensors, state


def _metadata(payload: bytes) -> dict[str, str]:
    # safetensors reads metadata of files only; the header is 8 bytes of length, then JSON.
    size = int.from_bytes(payload[:8], "little")
    metadata: dict[str, str] = json.loads(payload[8 : 8 + size])["__metadata__"]
    return metadata


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under names that begin with ``prefix.``."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``prefix.``, without it."""
    return {name[len(prefix) + 1 :]: t for name, t in tensors.items() if name.startswith(f"{prefix}.")}
