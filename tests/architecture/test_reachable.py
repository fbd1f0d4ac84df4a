"""Every operation is reached from the SDK, and from the command line where a person needs it.

Both talk to a page that answers each operation with the example that its documentation gives, so that what
they read is what is documented. What the operations do is tested against the service itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from app.cli import main, output
from app.config import Settings
from app.main import create_app
from app.openapi import operations
from app.sdk.client import SteadyRank

CONTENT = b"content"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
JSON = "application/json"

Call = Callable[[SteadyRank, Path], object]

SDK: dict[str, Call] = {
    "healthz": lambda c, _: c.alive(),
    "readyz": lambda c, _: c.health(),
    "get_metrics": lambda c, _: c.metrics(),
    "get_capabilities": lambda c, _: c.capabilities(),
    "get_usage": lambda c, _: c.usage(),
    "compare": lambda c, _: c.compare(["job_1", "job_2"]),
    "upload_dataset": lambda c, _: c.datasets.upload(CONTENT, filename="log.csv"),
    "list_datasets": lambda c, _: list(c.datasets.list()),
    "get_dataset": lambda c, _: c.datasets.get("ds_1"),
    "get_dataset_report": lambda c, _: c.datasets.report("ds_1"),
    "preview_dataset": lambda c, _: c.datasets.preview("ds_1"),
    "get_dataset_content": lambda c, to: c.datasets.content("ds_1", to / "log.csv"),
    "transform_dataset": lambda c, _: c.datasets.transform("ds_1", ["drop_exact_duplicates"]),
    "forget_users": lambda c, _: c.datasets.forget("ds_1", ["u1"]),
    "delete_dataset": lambda c, _: c.datasets.delete("ds_1"),
    "open_upload": lambda c, _: c.uploads.open(bytes=7),
    "list_uploads": lambda c, _: list(c.uploads.list()),
    "get_upload": lambda c, _: c.uploads.get("up_1"),
    "put_upload_part": lambda c, _: c.uploads.send_part(
        "up_1", 1, lambda: iter([CONTENT]), size=len(CONTENT), sha256=SHA256
    ),
    "complete_upload": lambda c, _: c.uploads.complete("up_1"),
    "abandon_upload": lambda c, _: c.uploads.abandon("up_1"),
    "create_job": lambda c, _: c.jobs.create("ds_1"),
    "list_jobs": lambda c, _: list(c.jobs.list()),
    "get_job": lambda c, _: c.jobs.get("job_1"),
    "change_job": lambda c, _: c.jobs.update("job_1", priority=1),
    "delete_job": lambda c, _: c.jobs.delete("job_1"),
    "cancel_job": lambda c, _: c.jobs.cancel("job_1"),
    "pause_job": lambda c, _: c.jobs.pause("job_1"),
    "resume_job": lambda c, _: c.jobs.resume("job_1"),
    "retry_job": lambda c, _: c.jobs.retry("job_1"),
    "list_job_events": lambda c, _: list(c.jobs.events("job_1")),
    "list_job_metrics": lambda c, _: list(c.jobs.metrics("job_1")),
    "list_job_logs": lambda c, _: list(c.jobs.logs("job_1")),
    "get_job_report": lambda c, _: c.jobs.report("job_1"),
    "get_job_manifest": lambda c, _: c.jobs.manifest("job_1"),
    "list_job_figures": lambda c, _: c.jobs.figures("job_1"),
    "get_job_figure": lambda c, _: c.jobs.figure("job_1", "pareto"),
    "list_job_checkpoints": lambda c, _: list(c.jobs.checkpoints("job_1")),
    "get_checkpoint": lambda c, _: c.jobs.checkpoint("ckpt_1"),
    "get_checkpoint_content": lambda c, to: c.jobs.download_checkpoint("ckpt_1", to / "state"),
    "list_models": lambda c, _: list(c.models.list()),
    "get_model": lambda c, _: c.models.get("mdl_1"),
    "update_model": lambda c, _: c.models.rename("mdl_1", "films"),
    "delete_model": lambda c, _: c.models.delete("mdl_1"),
    "get_model_card": lambda c, _: c.models.card("mdl_1"),
    "get_model_file": lambda c, to: c.models.download("mdl_1", to),
    "get_model_bundle": lambda c, to: c.models.download_bundle("mdl_1", to / "model.zip"),
    "recommend": lambda c, _: c.models.recommend("mdl_1", [["i1"]]),
    "list_model_aliases": lambda c, _: c.models.aliases("films"),
    "get_model_alias": lambda c, _: c.models.alias("films", "production"),
    "put_model_alias": lambda c, _: c.models.set_alias("films", "production", 1),
    "delete_model_alias": lambda c, _: c.models.delete_alias("films", "production"),
    "create_model_recommendations": lambda c, _: c.models.recommend_batch("mdl_1", "ds_1"),
    "list_model_recommendations": lambda c, _: list(c.models.batches("mdl_1")),
    "get_model_recommendations": lambda c, _: c.models.batch("rec_1", model="mdl_1"),
    "get_model_recommendations_content": lambda c, to: c.models.download_batch(
        c.models.batch("rec_1", model="mdl_1"), to / "out.parquet"
    ),
    "delete_model_recommendations": lambda c, _: c.models.delete_batch(
        c.models.batch("rec_1", model="mdl_1")
    ),
    "create_evaluation": lambda c, _: c.evaluations.create("mdl_1", "ds_1"),
    "list_evaluations": lambda c, _: list(c.evaluations.list()),
    "get_evaluation": lambda c, _: c.evaluations.get("eval_1"),
    "get_evaluation_report": lambda c, _: c.evaluations.report("eval_1"),
    "cancel_evaluation": lambda c, _: c.evaluations.cancel("eval_1"),
    "delete_evaluation": lambda c, _: c.evaluations.delete("eval_1"),
    "create_webhook_endpoint": lambda c, _: c.webhook_endpoints.create("https://example.com/hook"),
    "list_webhook_endpoints": lambda c, _: list(c.webhook_endpoints.list()),
    "get_webhook_endpoint": lambda c, _: c.webhook_endpoints.get("whk_1"),
    "update_webhook_endpoint": lambda c, _: c.webhook_endpoints.update("whk_1", enabled=False),
    "delete_webhook_endpoint": lambda c, _: c.webhook_endpoints.delete("whk_1"),
    "test_webhook_endpoint": lambda c, _: c.webhook_endpoints.test("whk_1"),
    "rotate_webhook_secret": lambda c, _: c.webhook_endpoints.rotate("whk_1"),
    "list_webhook_deliveries": lambda c, _: list(c.webhook_endpoints.deliveries("whk_1")),
    "get_webhook_delivery": lambda c, _: c.webhook_endpoints.delivery("dlv_1", endpoint="whk_1"),
    "redeliver_webhook": lambda c, _: c.webhook_endpoints.redeliver("dlv_1", endpoint="whk_1"),
    "create_api_key": lambda c, _: c.api_keys.create("notebook"),
    "list_api_keys": lambda c, _: list(c.api_keys.list()),
    "get_api_key": lambda c, _: c.api_keys.get("key_1"),
    "revoke_api_key": lambda c, _: c.api_keys.revoke("key_1"),
    "create_project": lambda c, _: c.projects.create("search"),
    "list_projects": lambda c, _: list(c.projects.list()),
    "get_project": lambda c, _: c.projects.get("prj_1"),
    "change_project": lambda c, _: c.projects.change("prj_1", name="search"),
    "delete_project": lambda c, _: c.projects.delete("prj_1"),
}

COMMANDS = {
    "readyz": "health",
    "get_capabilities": "capabilities",
    "get_usage": "usage",
    "compare": "compare job_1 job_2",
    "upload_dataset": "datasets upload log.csv",
    "list_datasets": "datasets list",
    "get_dataset": "datasets show ds_1",
    "get_dataset_report": "datasets report ds_1",
    "preview_dataset": "datasets preview ds_1",
    "get_dataset_content": "datasets download ds_1 copy.csv",
    "transform_dataset": "datasets transform ds_1 drop_exact_duplicates",
    "forget_users": "datasets forget ds_1 u1",
    "delete_dataset": "datasets delete ds_1",
    "list_uploads": "uploads list",
    "get_upload": "uploads show up_1",
    "abandon_upload": "uploads abandon up_1",
    "create_job": "jobs submit ds_1",
    "list_jobs": "jobs list",
    "get_job": "jobs show job_1",
    "change_job": "jobs update job_1 --priority 1",
    "delete_job": "jobs delete job_1 --models",
    "cancel_job": "jobs cancel job_1",
    "pause_job": "jobs pause job_1",
    "resume_job": "jobs resume job_1",
    "retry_job": "jobs retry job_1",
    "list_job_events": "jobs events job_1",
    "list_job_metrics": "jobs metrics job_1",
    "list_job_logs": "jobs logs job_1",
    "get_job_report": "jobs report job_1",
    "get_job_manifest": "jobs manifest job_1",
    "list_job_figures": "jobs figures job_1",
    "get_job_figure": "jobs figures job_1 -o figures",
    "list_job_checkpoints": "jobs checkpoints job_1",
    "get_checkpoint": "jobs checkpoint ckpt_1",
    "get_checkpoint_content": "jobs checkpoint ckpt_1",
    "list_models": "models list --name films",
    "get_model": "models show mdl_1",
    "update_model": "models rename mdl_1 films",
    "delete_model": "models delete mdl_1",
    "get_model_card": "models card mdl_1",
    "get_model_file": "models download mdl_1",
    "get_model_bundle": "models bundle mdl_1",
    "recommend": "models recommend mdl_1 i1 i2",
    "list_model_aliases": "models aliases films",
    "get_model_alias": "models alias films production",
    "put_model_alias": "models promote films 1 production",
    "delete_model_alias": "models delete-alias films production",
    "create_model_recommendations": "models recommend-batch mdl_1 ds_1 out.parquet",
    "list_model_recommendations": "models batches mdl_1",
    "get_model_recommendations": "models batch mdl_1 rec_1",
    "get_model_recommendations_content": "models batch mdl_1 rec_1 out.parquet",
    "delete_model_recommendations": "models delete-batch mdl_1 rec_1",
    "create_evaluation": "evaluations run mdl_1 ds_1 --no-wait",
    "list_evaluations": "evaluations list",
    "get_evaluation": "evaluations show eval_1",
    "get_evaluation_report": "evaluations report eval_1",
    "cancel_evaluation": "evaluations cancel eval_1",
    "delete_evaluation": "evaluations delete eval_1",
    "create_webhook_endpoint": "webhooks create https://example.com/hook",
    "list_webhook_endpoints": "webhooks list",
    "get_webhook_endpoint": "webhooks show whk_1",
    "update_webhook_endpoint": "webhooks update whk_1 --off",
    "delete_webhook_endpoint": "webhooks delete whk_1",
    "test_webhook_endpoint": "webhooks test whk_1",
    "rotate_webhook_secret": "webhooks rotate whk_1",
    "list_webhook_deliveries": "webhooks deliveries whk_1",
    "get_webhook_delivery": "webhooks delivery whk_1 dlv_1",
    "redeliver_webhook": "webhooks redeliver whk_1 dlv_1",
    "create_api_key": "keys create --name notebook --remote",
    "list_api_keys": "keys list --remote",
    "revoke_api_key": "keys revoke key_1 --remote",
    "create_project": "projects create search",
    "list_projects": "projects list",
    "get_project": "projects show prj_1",
    "change_project": "projects change prj_1 --name search",
    "delete_project": "projects delete prj_1",
}

NO_PERSON_NEEDS = {
    "healthz": "an orchestrator asks it; `health` asks readyz, which says more",
    "get_metrics": "Prometheus reads it",
    "open_upload": "`datasets upload` does it for files over 64 MiB",
    "put_upload_part": "`datasets upload` does it for files over 64 MiB",
    "complete_upload": "`datasets upload` does it for files over 64 MiB",
    "get_api_key": "`keys list` shows all of each key",
}


@cache
def documented() -> dict[str, tuple[str, re.Pattern[str], dict[str, Any]]]:
    """Method, path and description of every operation, by its id."""
    settings = Settings(database_url="postgresql://nobody@localhost/none", redis_url="redis://localhost/0")
    found = {}
    for path, method, operation in operations(create_app(settings).openapi()):
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))
        found[operation["operationId"]] = (method.upper(), re.compile(f"{pattern}$"), operation)
    return found


class Page:
    """Answers every operation as it is documented; `asked` has which ones were."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        request.read()
        (name,) = (
            name
            for name, (method, path, _) in documented().items()
            if method == request.method and path.match(request.url.path)
        )
        self.asked.append(name)
        responses = documented()[name][2]["responses"]
        status = max(set(responses) & {"200", "201"})
        offered = responses[status]["content"]
        media_type = next(iter({request.headers["Accept"]} & offered.keys()), next(iter(offered)))
        content = offered[media_type]
        if media_type != JSON:
            return self._bytes(request, media_type)
        example = (
            content["example"] if "example" in content else next(iter(content["examples"].values()))["value"]
        )
        return httpx.Response(int(status), json=_downloadable(example))

    def _bytes(self, request: httpx.Request, media_type: str) -> httpx.Response:
        headers = {"ETag": f'"{SHA256}"', "Content-Type": media_type}
        if request.headers.get("Range") != "bytes=0-0":
            return httpx.Response(200, content=CONTENT, headers=headers)
        headers["Content-Range"] = f"bytes 0-0/{len(CONTENT)}"
        return httpx.Response(206, content=CONTENT[:1], headers=headers)


def _downloadable(value: Any) -> Any:
    """The example, but files are CONTENT, and lists have an end."""
    if isinstance(value, list):
        return [_downloadable(one) for one in value]
    if not isinstance(value, dict):
        return value
    changed = {key: _downloadable(one) for key, one in value.items()}
    if {"bytes", "sha256"} <= changed.keys():
        changed |= {"bytes": len(CONTENT), "sha256": SHA256}
    return changed | ({"has_more": False} if "has_more" in changed else {})


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.fixture
def connect(page: Page) -> Callable[..., SteadyRank]:
    """Makes clients of the page."""
    return partial(
        SteadyRank,
        "http://service.test",
        "sr_secret",
        transport=httpx.MockTransport(page.handle),
        sleep=lambda _: None,
    )


def test_every_operation_is_accounted_for() -> None:
    assert documented().keys() == SDK.keys()
    assert documented().keys() == COMMANDS.keys() | NO_PERSON_NEEDS.keys()
    assert not COMMANDS.keys() & NO_PERSON_NEEDS.keys()


@pytest.mark.parametrize("operation", SDK)
def test_the_sdk_reaches_it(
    operation: str, page: Page, connect: Callable[..., SteadyRank], tmp_path: Path
) -> None:
    with connect() as client:
        SDK[operation](client, tmp_path)
    assert operation in page.asked


@pytest.mark.parametrize("operation", COMMANDS)
def test_a_command_reaches_it_and_can_say_it_in_json(
    operation: str,
    page: Page,
    connect: Callable[..., SteadyRank],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_bytes(CONTENT)
    monkeypatch.setattr(output, "SteadyRank", lambda _: connect())
    words = COMMANDS[operation].split()
    done = CliRunner().invoke(main.app, words)
    assert done.exit_code == 0, done.output
    assert operation in page.asked
    if words[:2] in (["models", "card"], ["jobs", "manifest"]):
        return  # one is Markdown, the other JSON anyway
    again = CliRunner().invoke(main.app, [*words, "--json"])
    assert again.exit_code == 0, again.output
    assert again.stdout.lstrip()[:1] in "[{"
