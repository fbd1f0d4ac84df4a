"""What a process loads, seen from the outside: import contracts cannot see an import inside a function."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def modules_of(package: str) -> list[str]:
    """Every module below a package, by its dotted name, without importing any."""
    folder = ROOT / package.replace(".", "/")
    files = [path.relative_to(ROOT).with_suffix("") for path in sorted(folder.rglob("*.py"))]
    return [".".join(path.parts).removesuffix(".__init__") for path in files if path.name != "__main__"]


def loaded_after_importing(modules: list[str], watched: set[str]) -> set[str]:
    """Which of the watched top-level packages a fresh interpreter has loaded after importing the modules."""
    program = (
        f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\n"
        f"print(*({watched!r} & {{name.partition('.')[0] for name in sys.modules}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_no_part_of_the_service_loads_torch_or_polars() -> None:
    modules = modules_of("app")
    assert {"app.main", "app.cli.main", "app.sdk.client", "app.jobs.reaper"} <= set(modules)
    assert loaded_after_importing(modules, {"torch", "polars"}) == set()


def test_an_api_process_starts_without_what_only_some_requests_need() -> None:
    watched = {"numpy", "polars", "torch", "matplotlib", "safetensors", "alembic"}
    assert loaded_after_importing(["app.main"], watched) == set()


def test_a_training_process_does_not_wait_for_the_web_and_the_broker_before_it_loads_torch() -> None:
    never = {"fastapi", "starlette", "celery", "kombu", "redis", "matplotlib"}
    assert loaded_after_importing(["worker.child"], never | {"torch", "polars"}) == set()
    assert loaded_after_importing(["worker.child", "worker.training_run"], never) == set()


def test_a_light_worker_reads_and_recommends_without_torch() -> None:
    light = ["worker.datasets", "worker.recommend"]
    assert loaded_after_importing(light, {"torch", "fastapi", "matplotlib"}) == set()


def test_the_sdk_loads_no_web_framework_and_no_database() -> None:
    assert (
        loaded_after_importing(modules_of("app.sdk"), {"fastapi", "sqlalchemy", "celery", "torch"}) == set()
    )


def test_the_training_library_loads_no_service() -> None:
    modules = modules_of("worker.training")
    assert len(modules) > 10
    watched = {"app", "fastapi", "starlette", "sqlalchemy", "celery", "redis", "psycopg", "httpx"}
    assert loaded_after_importing(modules, watched) == set()


def test_a_downloaded_model_is_scored_without_torch() -> None:
    watched = {"torch", "polars", "app", "pydantic"}
    assert loaded_after_importing(["worker.training.portable"], watched) == set()


def test_the_probe_sees_what_is_loaded() -> None:
    assert loaded_after_importing(["worker.training.spec"], {"pydantic", "torch"}) == {"pydantic"}
