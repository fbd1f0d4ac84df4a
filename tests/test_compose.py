"""docker-compose.yml without a Docker engine: its shape, its commands, its settings and its secrets."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from app.config import Settings
from app.embedded.table import API_MEMORY

ROOT = Path(__file__).resolve().parents[1]
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
SECRETS = {"POSTGRES_PASSWORD", "REDIS_PASSWORD"}
# Celery's own, not one of ours: SIGTERM then stops a worker without waiting for its task.
NOT_SETTINGS = {"REMAP_SIGTERM"}


def filled_in(text: str, values: dict[str, str]) -> str:
    """Compose's interpolation, as far as the file uses it: ${NAME:-default} and ${NAME:?message}."""

    def value(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        return values.get(name) or (rest if operator == ":-" else pytest.fail(f"{name} is not set: {rest}"))

    return re.sub(r"\$\{(\w+)(:[-?])([^}]*)\}", value, text)


def environment(service: str, password: str) -> dict[str, str]:
    given = SERVICES[service]["environment"]
    return {name: filled_in(text, dict.fromkeys(SECRETS, password)) for name, text in given.items()}


def settings_names() -> set[str]:
    unprefixed = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}
    return {unprefixed.get(name, f"STEADYRANK_{name.upper()}") for name in Settings.model_fields}


def test_the_file_fits_the_compose_specification() -> None:
    schema = json.loads((ROOT / "tests/schemas/compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(COMPOSE)


def test_the_schema_does_refuse_a_faulty_file() -> None:
    schema = json.loads((ROOT / "tests/schemas/compose-spec.json").read_text(encoding="utf-8"))
    faulty = {**COMPOSE, "services": {**SERVICES, "api": {**SERVICES["api"], "depend_on": ["postgres"]}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(faulty)


def test_every_part_of_the_service_is_there() -> None:
    assert set(SERVICES) == {
        "postgres", "redis", "migrate", "api", "reaper", "worker-light", "worker-measure", "worker",
        "worker-gpu",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_command_starts_something_that_exists(name: str) -> None:
    command = OURS[name]["command"]
    match command:
        case ["uvicorn", "--factory", target, *_]:
            module, factory = target.split(":")
            assert hasattr(importlib.import_module(module), factory)
        case ["python", "-m", module]:
            assert importlib.util.find_spec(module) is not None
        case ["celery", "-A", module, "worker", *options]:
            assert importlib.util.find_spec(module) is not None
            assert options[options.index("-Q") + 1] in {"light", "measure", "train"}
            assert options[options.index("--concurrency") + 1] == "1"
        case ["steadyrank", "migrate"]:
            pass  # run by tests/app/cli
        case _:
            pytest.fail(f"unknown command: {command}")


def test_all_queues_have_a_worker_without_any_profile() -> None:
    queues = {
        service["command"][service["command"].index("-Q") + 1]
        for service in OURS.values()
        if "-Q" in service["command"] and "profiles" not in service
    }
    assert queues == {"light", "measure", "train"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_is_a_setting(name: str) -> None:
    assert set(OURS[name]["environment"]) - NOT_SETTINGS <= settings_names()


@pytest.mark.parametrize("name", sorted(OURS))
def test_documented_settings_have_a_way_in_that_may_be_left_out(name: str) -> None:
    assert OURS[name]["env_file"] == [{"path": "steadyrank.env", "required": False}]


def test_the_others_know_nothing_of_our_settings() -> None:
    assert all("env_file" not in SERVICES[name] for name in SERVICES.keys() - OURS.keys())


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_environment_makes_production_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in environment(name, password="5f0c9b1de2a44c").items():
        monkeypatch.setenv(variable, value)
    settings = Settings()
    assert settings.environment == "production"
    assert settings.database.endswith("@postgres:5432/steadyrank")


def test_a_well_known_password_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in environment("api", password="changeme").items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError, match="well-known"):
        Settings()


def test_no_secret_has_a_default() -> None:
    used = re.findall(r"\$\{(\w+)([^}]*)\}", COMPOSE_TEXT)
    assert {name for name, _ in used} >= SECRETS
    assert all(rest.startswith(":?") for name, rest in used if name in SECRETS)
    assert not re.search(r"(?im)^\s*\w*(password|secret|token)\w*:\s+(?!\$\{)\S", COMPOSE_TEXT)


def test_nothing_starts_before_the_migrations_are_through() -> None:
    for name in OURS.keys() - {"migrate"}:
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert SERVICES["migrate"]["restart"] == "no"


def test_services_that_others_wait_for_have_health_checks() -> None:
    assert all("test" in SERVICES[name]["healthcheck"] for name in ("postgres", "redis", "api"))


def test_the_broker_forgets_nothing() -> None:
    command = SERVICES["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


def test_the_database_counts_as_ready_only_once_it_answers_where_the_others_ask() -> None:
    test = SERVICES["postgres"]["healthcheck"]["test"]
    assert test[test.index("--host") + 1] == "127.0.0.1"


def test_no_log_grows_for_ever() -> None:
    assert all("max-size" in service["logging"]["options"] for service in SERVICES.values())


def test_who_has_gpus_says_so_once_for_every_later_command() -> None:
    assert SERVICES["worker"]["deploy"]["replicas"] == "${CPU_WORKERS:-1}"
    assert "--scale" not in (ROOT / "docs/operations.md").read_text().replace("`--scale`", "")


def test_the_gpu_worker_reserves_one_gpu() -> None:
    (device,) = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia"
    assert device["capabilities"] == ["gpu"]
    assert len(device["device_ids"]) == 1


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_dockerfile_copies_only_what_is_there_and_let_through(name: str) -> None:
    dockerfile = (ROOT / OURS[name]["build"]["dockerfile"]).read_text(encoding="utf-8")
    let_through = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line[:1] == "!"
    }
    copied = {source for line in re.findall(r"^COPY (.+)$", dockerfile, re.M) for source in line.split()[:-1]}
    assert copied
    assert copied <= let_through
    assert all((ROOT / source).exists() for source in copied)
    assert "USER steadyrank" in dockerfile


def test_the_api_image_has_no_torch_and_the_worker_image_the_pinned_one() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pin = next(requirement for requirement in extras["worker"] if requirement.startswith("torch"))
    assert f"ARG TORCH={pin}\n" in (ROOT / "docker/worker.Dockerfile").read_text()
    assert "RUN pip install . " in (ROOT / "docker/api.Dockerfile").read_text()


def test_the_image_gives_memory_back_as_the_embedded_stack_does() -> None:
    (line,) = (line for line in (ROOT / "docker/api.Dockerfile").read_text().splitlines() if "MALLOC" in line)
    assert {f"{name}={value}" for name, value in API_MEMORY.items()} <= set(line.split())
