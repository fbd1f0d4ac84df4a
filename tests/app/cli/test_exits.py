from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.cli import exits
from app.sdk.client import SteadyRank
from app.sdk.errors import ProbablyDeletedError

GUIDE = (Path(__file__).resolve().parents[3] / "docs/guide.md").read_text(encoding="utf-8")

PROBLEM = {
    "status": 422,
    "code": "invalid_request",
    "title": "Request not valid",
    "detail": "1 setting is not valid.",
    "request_id": "req_7",
    "errors": [
        {
            "pointer": "/epochs",
            "code": "greater_than_equal",
            "message": "too few",
            "got": 0,
            "hint": "1 or more",
        }
    ],
    "hint": "See GET /v1/capabilities.",
}


CODES = re.compile(r"^\| (\d+) \| (.+) \|$", re.M)


def job(status: str, **more: object) -> dict[str, object]:
    return {"id": "job_1", "status": status, "created_at": "2026-01-01T00:00:00Z", **more}


def test_an_error_is_one_block_with_pointer_and_hint(peer, cli):
    peer.on("POST /v1/jobs", (422, PROBLEM))
    result = cli("jobs", "submit", "ds_1", "--set", "epochs=0")
    assert result.exit_code == 2
    assert result.stdout == ""
    for part in ("1 setting is not valid.", "/epochs", "(got 0)", "1 or more", "See GET", "req_7"):
        assert part in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(("status", "code"), [(400, 2), (401, 2), (404, 2), (409, 2), (413, 2), (500, 3)])
def test_status_codes_become_exit_codes(peer, cli, status, code):
    peer.on("GET /v1/jobs/job_1", (status, {"code": "x", "detail": "No."}))
    assert cli("jobs", "show", "job_1").exit_code == code


@pytest.mark.parametrize("code", ["rate_limited", "quota_used_up"])
def test_a_limit_that_is_reached_is_8_and_no_service_that_is_down(peer, cli, monkeypatch, code):
    monkeypatch.setattr("app.sdk.transport.RETRIED_STATUSES", frozenset())
    peer.on("POST /v1/jobs", (429, {"code": code, "detail": "No more today."}))
    assert cli("jobs", "submit", "ds_1").exit_code == exits.LIMITED == 8


def test_waiting_in_vain_is_7(peer, cli):
    batch = {"id": "rec_1", "model": "mdl_1", "status": "queued"}
    peer.on("POST /v1/models/mdl_1/recommendations", (201, batch))
    peer.on("GET /v1/models/mdl_1/recommendations/rec_1", (200, batch))
    result = cli("models", "recommend-batch", "mdl_1", "ds_1", "out.parquet", "--timeout", "0")
    assert result.exit_code == exits.TIMED_OUT == 7
    assert "rec_1 is still queued" in result.stderr


def test_an_answer_that_was_lost_is_1():
    gone = ProbablyDeletedError(status=404, code="job_not_found", title="", detail="It is gone.")
    assert exits.exit_code_of(gone) == exits.FAILED


def test_the_guide_and_the_help_name_the_codes_that_there_are(cli):
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    documented = CODES.findall(exits.__doc__ or "")
    assert {int(code) for code, _ in documented} == codes
    assert CODES.findall(GUIDE.partition("## Exit codes")[2]) == documented
    told = cli("--help").stdout.partition("Exit codes:")[2]
    assert {int(code) for code in re.findall(r"\d+", told)} == codes


def test_a_service_that_is_not_there_is_3(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("STEADYRANK_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("STEADYRANK_URL", raising=False)
    result = cli("jobs", "list")
    assert result.exit_code == 3
    assert "steadyrank up" in result.stderr


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("/v1/api_keys", ("keys", "create", "--remote")),
        ("/v1/projects", ("projects", "create", "search")),
        ("/v1/webhook_endpoints/whk_1/rotate", ("webhooks", "rotate", "whk_1")),
    ],
)
def test_a_secret_that_got_lost_is_no_empty_line(peer, cli, path, arguments):
    peer.on(f"POST {path}", (201, {"id": "any_1", "secret": None}))
    result = cli(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "any_1" in result.stderr


def test_the_url_option_wins(peer, cli, monkeypatch):
    monkeypatch.setenv("STEADYRANK_URL", "http://nowhere.invalid")
    peer.on("GET /v1/jobs", (200, {"data": [], "has_more": False}))
    assert "No jobs yet" in cli("--url", peer.url, "jobs", "list").stdout


@pytest.mark.parametrize(("status", "code"), [("succeeded", 0), ("failed", 1), ("cancelled", 4)])
def test_watching_ends_with_the_jobs_exit_code(peer, cli, status, code):
    error = (
        {"code": "diverged", "message": "loss is NaN", "hint": "Lower it."} if status == "failed" else None
    )
    peer.on("GET /v1/jobs/job_1", (200, job(status, error=error)))
    result = cli("jobs", "watch", "job_1")
    assert result.exit_code == code
    if error:
        assert "diverged: loss is NaN" in result.stdout
        assert "Lower it." in result.stdout


def test_ctrl_c_while_watching_leaves_the_job_running(peer, cli, monkeypatch):
    peer.on("GET /v1/jobs/job_1", (200, job("running")))

    def interrupted(client: object, *arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.sdk.jobs.Jobs.wait", interrupted)
    result = cli("jobs", "watch", "job_1")
    assert result.exit_code == 130
    assert "steadyrank jobs cancel job_1" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs", "submit"),
        ("jobs", "submit", "ds_1", "--set", "epochs"),
        ("jobs", "frobnicate"),
        ("datasets", "upload", "/no/such/file"),
        ("models", "recommend", "mdl_1", "1", "--replace", "last=2"),
    ],
)
def test_wrong_usage_is_2(peer, cli, arguments):
    result = cli(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_the_key_is_in_no_output(peer, cli):
    peer.on("GET /v1/jobs/job_1", (401, {"code": "unauthorized", "detail": "This API key is not known."}))
    result = cli("jobs", "show", "job_1")
    assert "sr_secret" not in result.output
    assert "sr_secret" not in repr(SteadyRank())
