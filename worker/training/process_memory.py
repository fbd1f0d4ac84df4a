"""How much memory this process has had at its largest."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def most_resident_bytes() -> int:
    """Most that was resident at once so far, in bytes.

    Linux says it in VmHWM. What getrusage says there is not this process's own: one that was spawned begins
    with the peak of its parent. It is asked where there is no /proc, or one (of a sandbox) without that line.
    """
    try:
        status = STATUS.read_text(encoding="ascii", errors="replace")
    except OSError:
        status = ""
    own = next((line for line in status.splitlines() if line.startswith("VmHWM:")), None)
    if own is not None:
        return int(own.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024)
