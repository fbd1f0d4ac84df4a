"""How Postgres, which refuses to run as root, is run by whoever we are.

An ordinary user runs it as is. Root runs it in a user namespace of its own, where the process sees uid
65534 and the files stay root's. Where namespaces are refused (some containers), root drops to `nobody` and
keeps one capability, to pass the permissions of files: the wheel and the data folder may stand below a
folder that only root may enter, such as /root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.embedded.errors import PrivilegesError
from app.embedded.processes import dies_with_parent, setpriv

NOBODY = 65534
CAPABILITY = "-all,+dac_override"


class Way(StrEnum):
    """The three ways to run Postgres."""

    PLAIN = "plain"
    NAMESPACE = "namespace"
    NOBODY = "nobody"


@dataclass(frozen=True)
class Identity:
    """Who Postgres runs as.

    Args:
        prefix: programs to run it under; see `ProcessSpec.prefix`.
        owner: uid that must own the database's files.
    """

    way: Way
    prefix: tuple[str, ...]
    owner: int

    def own(self, folder: Path) -> None:
        """Hand a folder over when another way of running owned it the last time (a container moved, say)."""
        if folder.stat().st_uid == self.owner:
            return
        for path, _, files in os.walk(folder):
            for name in (".", *files):
                os.chown(os.path.join(path, name), self.owner, -1, follow_symlinks=False)


def choose(program: Path, folder: Path, way: Way | None = None) -> Identity:
    """Find the way in which a program can be run and write to a folder, or take the one that is named.

    A namespace's root may not enter what belongs to other users, so a wheel in somebody's private home
    folder, say under sudo, works in one way and not in the other.

    Raises:
        PrivilegesError: root, and no way works, or not the named one.
    """
    candidates = [way] if way else [Way.PLAIN] if os.geteuid() != 0 else [Way.NAMESPACE, Way.NOBODY]
    for candidate in candidates:
        identity = _identity(candidate)
        if identity is not None and _works(identity, program, folder):
            return identity
    raise PrivilegesError(
        f"Postgres does not run as root, and these ways out are refused here: {', '.join(candidates)}.",
        "Run SteadyRank as an ordinary user, or set DATABASE_URL to a server of your own.",
    )


def _identity(way: Way) -> Identity | None:
    if way is Way.PLAIN:
        return Identity(way, dies_with_parent(), os.geteuid())
    unshare, program = shutil.which("unshare"), setpriv()
    if sys.platform != "linux" or program is None:
        return None
    if way is Way.NAMESPACE and unshare is not None:
        # the death signal is set after unshare, which would clear it
        inside = (
            unshare,
            "--user",
            f"--map-user={NOBODY}",
            f"--map-group={NOBODY}",
            "--",
            *dies_with_parent(),
        )
        return Identity(way, inside, os.geteuid())
    if way is Way.NOBODY:
        drop = (program, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        keep = (f"--inh-caps={CAPABILITY}", f"--ambient-caps={CAPABILITY}", f"--bounding-set={CAPABILITY}")
        return Identity(way, (*drop, *keep, "--pdeathsig", "{signal}", "--"), NOBODY)
    return None


def _works(identity: Identity, program: Path, folder: Path) -> bool:
    if identity.way is Way.PLAIN:
        return os.geteuid() != 0
    prefix = [part.format(signal="TERM") for part in identity.prefix]
    # touch fails unless the folder can be reached and written to; `test -w` asks without the capability
    trials = ([str(program), "--version"], ["touch", "-c", f"{folder}/."])
    return all(
        subprocess.run([*prefix, *trial], capture_output=True, check=False, cwd="/").returncode == 0
        for trial in trials
    )
