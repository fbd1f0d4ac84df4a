"""Where a run computes: the device, the threads, and the versions a report names."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch

from worker.training.process_memory import most_resident_bytes
from worker.training.progress import TrainingError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 256 * 2**20
MAPPED_FROM_BYTES = 32 * 2**20


class DeviceUnavailableError(TrainingError):
    """The device that was asked for is not there."""

    hint = "Use device auto or cpu, or install a CUDA build of torch on a machine with an NVIDIA driver."


@dataclass(frozen=True)
class Runtime:
    """Device `auto` (CUDA where there is one, else CPU), `cpu`, `cuda` or `cuda:N`; threads, 0: all cores.

    Neither is part of a TrainSpec: they say where a run computes, not what. A run is bit-identical to another
    only on CPU with the same torch and the same number of threads.
    """

    device: str = "auto"
    threads: int = 1

    def prepare(self) -> torch.device:
        """Set the process's threads and its allocator; return the device. Raises DeviceUnavailableError."""
        keep_freed_memory()
        torch.set_num_threads(self.threads or os.cpu_count() or 1)
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
        except RuntimeError as error:
            raise DeviceUnavailableError(f"there is no device {self.device!r}") from error
        if device.type not in ("cpu", "cuda"):
            raise DeviceUnavailableError(f"device {self.device!r} is neither cpu nor cuda")
        found = torch.cuda.device_count()
        if device.type == "cuda" and (device.index or 0) >= found:
            raise DeviceUnavailableError(
                f"device {self.device} was asked for, but torch finds {found or 'no'} CUDA devices"
            )
        return device

    def environment(self, device: torch.device) -> dict[str, Any]:
        """Return what a report says of the machine: versions, device, threads."""
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
        return {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "polars": pl.__version__,
            "threads": torch.get_num_threads(),
            "device": str(device),
            "device_name": name,
        }


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory that this process has had so far, in bytes; with that of its tensors, if on a GPU."""
    return most_resident_bytes() + (torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0)


def keep_freed_memory() -> bool:
    """Let glibc keep up to 256 MB that was freed; say whether it does (elsewhere: no, and nothing changes).

    Tensors of a few megabytes come and go at every step. As glibc is set, each is mapped anew from the kernel
    and every page of it is faulted in again: an eighth of the time of an evaluation, and of a step of 10,000
    targets, which lets go of 150 MB at its end.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM_BYTES) and mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))
