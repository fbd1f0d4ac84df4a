from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.embedded import privileges
from app.embedded.errors import PrivilegesError
from app.embedded.postgres import programs
from app.embedded.privileges import Way, choose


def test_where_namespaces_are_refused_root_drops_to_nobody(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has to become somebody else")
    refusing = short_folder / "unshare"
    refusing.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{short_folder}:{os.environ['PATH']}")
    assert choose(programs() / "postgres", short_folder).way is Way.NOBODY


def test_when_every_way_is_refused_the_error_says_what_to_do(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privileges.os, "geteuid", lambda: 0)
    monkeypatch.setattr(privileges, "setpriv", lambda: None)
    with pytest.raises(PrivilegesError, match=r"namespace, nobody.*ordinary user.*DATABASE_URL"):
        choose(programs() / "postgres", short_folder)


def test_an_ordinary_user_needs_nothing(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges.os, "geteuid", lambda: 1000)
    identity = choose(programs() / "postgres", short_folder)
    assert (identity.way, identity.owner) == (Way.PLAIN, 1000)
