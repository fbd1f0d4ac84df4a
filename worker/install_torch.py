"""Install the pinned torch in the build that fits this machine; run by `make install` before all else.

`pip install torch` takes a CUDA build of several GB on any Linux. Here a machine without an NVIDIA driver
gets a CPU build: from PyTorch's own index of CPU wheels where that answers, else as the user's pip resolves
the pin (a mirror or a folder of wheels may hold a CPU build). Only the standard library is used: nothing is
installed yet.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def pinned_torch(pyproject: str) -> str:
    """The requirement that the [worker] extra pins, such as "torch==2.13.0"."""
    found = re.search(r'"(torch==[^"]+)"', pyproject)
    if found is None:
        raise SystemExit("pyproject.toml pins no torch")
    return found.group(1)


def has_nvidia_driver() -> bool:
    """Whether this machine can run a CUDA build at all."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()


def answers(index: str, seconds: float = 5.0) -> bool:
    """Whether a package index lists torch; a machine behind a closed network has none but its own mirror."""
    try:
        with urllib.request.urlopen(f"{index}/torch/", timeout=seconds) as response:  # noqa: S310 - https, fixed
            return bool(response.status == 200)
    except OSError:
        return False


def choose(platform: str, *, driver: bool, cpu_index: bool) -> tuple[str, list[str]]:
    """A sentence for the user and pip's extra arguments. `platform` is sys.platform."""
    if platform != "linux":
        return "the only build for this system", []
    if driver:
        return "CUDA build for the NVIDIA driver found, several GB", []
    if cpu_index:
        return "CPU build, about 200 MB", ["--index-url", CPU_INDEX]
    return "no NVIDIA driver, PyTorch's CPU index out of reach: the build that pip finds", []


def main() -> int:
    """Install it, saying which build; returns pip's exit code."""
    requirement = pinned_torch(PYPROJECT.read_text(encoding="utf-8"))
    driver = has_nvidia_driver()
    on_linux = sys.platform == "linux"
    sentence, arguments = choose(
        sys.platform, driver=driver, cpu_index=on_linux and not driver and answers(CPU_INDEX)
    )
    print(f"Installing {requirement} ({sentence}) ...", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return subprocess.run([*pip, *arguments, requirement], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
