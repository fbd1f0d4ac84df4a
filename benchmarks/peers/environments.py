"""A virtual environment for each peer, made from PyPI; CUDA builds of torch are refused.

    .bench/<peer>/            the environment, ignored by git
    .bench/<peer>/.installed  the requirements that it was made from; another text makes it anew

torch goes in first, pinned to the version that SteadyRank itself runs on, so that every library is
measured on the same kernels. What pip would take is asked for before anything is downloaded, and the
build is checked again after each installation.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.install_torch import CPU_INDEX, PYPROJECT, answers, pinned_torch
from worker.training.runtime import KEPT_BYTES, MAPPED_FROM_BYTES

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / ".bench"
RUNNERS = Path(__file__).resolve().parent / "runners"
# Of the many CUDA packages that such a build asks for, at least one begins like this in every release.
CUDA_REQUIREMENTS = ("nvidia-", "cuda-", "triton")


class CudaBuildError(RuntimeError):
    """pip would take, or took, a build of torch for CUDA: several GB, and other kernels than ours."""


class InstallationError(RuntimeError):
    """pip could not install a peer; the message ends with what pip said."""


@dataclass(frozen=True)
class Peer:
    """A library to compare with: its requirements as pip takes them, and its runner's file.

    same_targets: whether it trains on the targets that we do, window for window.
    """

    name: str
    title: str
    requirements: tuple[str, ...]
    same_targets: bool = True

    @property
    def runner(self) -> Path:
        """The script that its environment's Python runs."""
        return RUNNERS / f"run_{self.name}.py"


PEERS = {
    peer.name: peer
    for peer in (
        Peer("rectools", "RecTools 0.19", ("rectools[torch]==0.19.0",)),
        Peer("replay", "RePlay 0.22", ("replay-rec[torch]==0.22.0",)),
        # RecBole 1.2.1 uses names that numpy 2 and pandas 3 no longer have.
        Peer(
            "recbole",
            "RecBole 1.2.1",
            ("recbole==1.2.1", "numpy<2", "pandas<2.2", "scipy<1.13"),
            same_targets=False,
        ),
    )
}


def refuse_cuda_requirements(report: dict[str, Any]) -> None:
    """Raise CudaBuildError where pip's installation report has a torch that asks for CUDA packages.

    Args:
        report: what `pip install --dry-run --report -` prints (its format version 1).
    """
    for entry in report["install"]:
        metadata = entry["metadata"]
        wanted = [line for line in metadata.get("requires_dist", []) if line.startswith(CUDA_REQUIREMENTS)]
        if metadata["name"] == "torch" and wanted:
            raise CudaBuildError(
                f"pip would take torch {metadata['version']} built for CUDA (it asks for {wanted[0]}). "
                f"Nothing was downloaded. Let pip find a CPU build: reach {CPU_INDEX}, or name a folder "
                "that holds its wheel in PIP_FIND_LINKS."
            )


def refuse_cuda_build(version: str, cuda: str | None) -> None:
    """Raise CudaBuildError for an installed torch whose `torch.version.cuda` is not None."""
    if cuda is not None:
        raise CudaBuildError(
            f"torch {version} is a build for CUDA {cuda}; peers are measured on CPU builds only"
        )


def clean_environment() -> dict[str, str]:
    """This process's variables without those that would lead a peer's Python to our packages; one thread.

    glibc keeps what a peer frees as it does for us (`Runtime.prepare`).
    """
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    allocator = {
        "MALLOC_MMAP_THRESHOLD_": str(MAPPED_FROM_BYTES),
        "MALLOC_TRIM_THRESHOLD_": str(KEPT_BYTES),
    }
    alone = {"CUDA_VISIBLE_DEVICES": "", "PYTHONNOUSERSITE": "1"}
    return kept | dict.fromkeys(threads, "1") | allocator | alone


def python_of(environment: Path) -> Path:
    return environment / "bin" / "python"


def ready(peer: Peer, folder: Path = FOLDER) -> Path:
    """The Python of the peer's environment, made if it is not there.

    Raises:
        CudaBuildError: torch would be, or is, a CUDA build.
        InstallationError: pip failed, most often because no package index is in reach.
    """
    environment = folder / peer.name
    python, stamp = python_of(environment), environment / ".installed"
    torch = pinned_torch(PYPROJECT.read_text(encoding="utf-8"))
    wanted = "\n".join([torch, *peer.requirements]) + "\n"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        check_build(python)
        return python
    print(f"Installing {peer.title} in {environment} ...", file=sys.stderr, flush=True)
    shutil.rmtree(environment, ignore_errors=True)
    call([sys.executable, "-m", "venv", str(environment)])
    index = ["--index-url", CPU_INDEX] if answers(CPU_INDEX) else []
    refuse_cuda_requirements(
        json.loads(
            pip(python, "--dry-run", "--no-deps", "--ignore-installed", "--report", "-", *index, torch)
        )
    )
    pip(python, *index, torch)
    check_build(python)
    pins = environment / "constraints.txt"
    pins.write_text(torch + "\n", encoding="utf-8")
    pip(python, "--constraint", str(pins), *peer.requirements)
    check_build(python)
    stamp.write_text(wanted, encoding="utf-8")
    return python


def check_build(python: Path) -> None:
    """Ask an environment's torch for its build; raises CudaBuildError."""
    version, cuda = json.loads(
        call(
            [
                str(python),
                "-c",
                "import json, torch; print(json.dumps([torch.__version__, torch.version.cuda]))",
            ]
        )
    )
    refuse_cuda_build(version, cuda)


def pip(python: Path, *arguments: str) -> str:
    return call(
        [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--retries",
            "1",
            *arguments,
        ]
    )


def call(command: list[str]) -> str:
    """Standard output of a command; raises InstallationError with the end of what it said on failure."""
    finished = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        said = (finished.stderr or finished.stdout).strip()[-1500:]
        raise InstallationError(f"{' '.join(command[:4])} ... ended with {finished.returncode}:\n{said}")
    return finished.stdout


def main() -> None:
    for name in sys.argv[1:] or PEERS:
        print(f"{name}: {ready(PEERS[name])}")


if __name__ == "__main__":
    main()
