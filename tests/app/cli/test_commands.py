from __future__ import annotations

import json
import pathlib

import pytest

DATASET = {
    "id": "ds_1",
    "object": "dataset",
    "name": "[bold]log[/]",
    "status": "ready",
    "filename": "log.csv",
    "bytes": 1234,
    "sha256": "ab",
    "format": "csv",
    "columns": {"user": "who", "item": "what", "time": None, "rating": None, "guessed": True},
    "stats": {"users": 3, "items": 4, "interactions": 12},
    "problems": [
        {"code": "d", "message": "1 row twice", "severity": "warning", "line": 17, "count": 2, "hint": "fine"}
    ],
    "created_at": "2026-01-01T00:00:00Z",
}
JOB = {
    "id": "job_1",
    "status": "queued",
    "dataset": "ds_1",
    "model": "sasrec",
    "arms": ["standard"],
    "created_at": "2026-01-01T00:00:00Z",
}


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("who,what\n1,2\n")
    return path


def test_an_uploaded_data_set_is_shown_with_its_guesses_and_warnings(peer, cli, log):
    peer.on("POST /v1/datasets", (201, {**DATASET, "status": "validating"}))
    peer.on("GET /v1/datasets/ds_1", (200, {**DATASET, "status": "validating"}), (200, DATASET))
    result = cli("datasets", "upload", str(log))
    assert result.exit_code == 0, result.output
    for part in (
        "[bold]log[/]",
        "user = who, item = what (guessed)",
        "12 interactions",
        "line 17: 1 row twice",
    ):
        assert part in result.stdout


def test_a_rejected_upload_lists_its_problems_and_is_1(peer, cli, log):
    problems = [{"code": "m", "message": "no user id", "severity": "error", "line": 2, "hint": "Fill it in."}]
    peer.on("POST /v1/datasets", (201, {**DATASET, "status": "validating"}))
    peer.on("GET /v1/datasets/ds_1", (200, {**DATASET, "status": "rejected", "problems": problems}))
    result = cli("datasets", "upload", str(log))
    assert result.exit_code == 1
    assert "line 2: no user id" in result.stderr
    assert "Fill it in." in result.stderr


def test_lists_and_objects_are_json_when_asked(peer, cli):
    peer.on("GET /v1/datasets", (200, {"data": [DATASET], "has_more": False}))
    peer.on("GET /v1/datasets/ds_1", (200, DATASET))
    peer.on("DELETE /v1/datasets/ds_1", (200, {"id": "ds_1", "deleted": True, "freed_bytes": 99}))
    assert cli.json("datasets", "list") == [DATASET]
    assert cli.json("datasets", "show", "ds_1") == DATASET
    assert cli.json("datasets", "delete", "ds_1")["freed_bytes"] == 99
    assert "[bold]log[/]" in cli("datasets", "list").stdout


def test_deleting_what_is_in_use_names_the_users(peer, cli):
    problem = {"code": "dataset_in_use", "detail": "1 job uses it.", "used_by": ["job_8"]}
    peer.on("DELETE /v1/datasets/ds_1", (409, problem))
    result = cli("datasets", "delete", "ds_1")
    assert result.exit_code == 2
    assert "job_8" in result.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [("spec.json", '{"epochs": 5, "gamma": 0.5}'), ("spec.toml", "epochs = 5\ngamma = 0.5\n")],
)
def test_settings_come_from_file_set_and_options_in_this_order(peer, cli, tmp_path, name, text):
    spec = tmp_path / name
    spec.write_text(text)
    peer.on("POST /v1/jobs", (201, JOB))
    result = cli(
        *("jobs", "submit", "ds_1", "--spec", str(spec), "--set", "epochs=7", "--set", "seeds=[1,2]"),
        *("--set", "device=cpu", "--arms", "standard, cascade", "--model", "gru4rec"),
        *("--preset", "strong"),
    )
    assert result.stdout.strip() == "job_1"
    assert peer.bodies == [
        {
            "dataset": "ds_1",
            "epochs": 7,
            "gamma": 0.5,
            "seeds": [1, 2],
            "device": "cpu",
            "model": "gru4rec",
            "preset": "strong",
            "arms": ["standard", "cascade"],
        }
    ]


def test_a_spec_file_may_name_the_data_set_but_no_other(peer, cli, tmp_path):
    peer.on("POST /v1/jobs", (201, {"id": "job_1"}))
    spec = tmp_path / "spec.json"
    spec.write_text('{"dataset": "ds_1", "epochs": 5}')
    assert cli("jobs", "submit", "ds_1", "--spec", str(spec)).stdout == "job_1\n"
    assert peer.bodies == [{"dataset": "ds_1", "epochs": 5}]
    other = cli("jobs", "submit", "ds_2", "--spec", str(spec))
    assert (other.exit_code, "is for the data set 'ds_1'" in other.stderr) == (2, True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("dataset=ds_2", "is for the data set 'ds_2'"),
        ("dataset=[1]", "is for the data set [1]"),
        ("estimate=probe", "--probe"),
        ("idempotency_key=a", "--idempotency-key"),
        ("self=1", "'self' is no setting"),
        ("labels=5", "labels must be an object"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--validate",), ("--label", "owner=ana")])
def test_set_takes_settings_and_nothing_else(peer, cli, given, said, more):
    result = cli("jobs", "submit", "ds_1", "--set", given, *more)
    assert (result.exit_code, said in result.stderr, peer.bodies) == (2, True, [])


def test_set_may_repeat_the_data_set(peer, cli):
    peer.on("POST /v1/jobs", (201, {"id": "job_1"}))
    assert cli("jobs", "submit", "ds_1", "--set", "dataset=ds_1", "--set", "epochs=3").stdout == "job_1\n"
    assert peer.bodies == [{"dataset": "ds_1", "epochs": 3}]


@pytest.mark.parametrize("text", ["{", "[1]", '"epochs"'])
def test_a_broken_spec_file_is_named(peer, cli, tmp_path, text):
    spec = tmp_path / "spec.json"
    spec.write_text(text)
    result = cli("jobs", "submit", "ds_1", "--spec", str(spec))
    assert result.exit_code == 2
    assert "spec.json" in result.stderr


def test_submit_can_wait_for_the_end(peer, cli):
    peer.on("POST /v1/jobs", (201, JOB))
    metrics = [
        {
            "id": f"0-standard-{epoch}",
            "arm": "standard",
            "seed": 0,
            "epoch": epoch,
            "loss": 1.0 / epoch,
            "validation": {"ndcg@10": epoch / 100},
        }
        for epoch in (9, 10)
    ]
    running = {
        **JOB,
        "status": "running",
        "phase": "training",
        "arm": "standard",
        "started_at": JOB["created_at"],
    }
    peer.on(
        "GET /v1/jobs/job_1", (200, running), (200, {**running, "status": "failed", "error": {"code": "x"}})
    )
    peer.on("GET /v1/jobs/job_1/metrics", (200, {"data": metrics, "has_more": False}))
    result = cli("jobs", "submit", "ds_1", "--wait")
    assert result.exit_code == 1
    assert "standard: epoch 10, loss 0.1000, validation NDCG@10 0.1000 (best 0.1000)" in result.stderr
    assert "training standard" in result.stderr


def test_following_goes_on_when_training_begins_anew(peer, cli):
    peer.on("POST /v1/jobs", (201, JOB))
    running = {**JOB, "status": "running", "phase": "training", "started_at": JOB["created_at"]}
    peer.on("GET /v1/jobs/job_1", *[(200, running)] * 3, (200, {**running, "status": "succeeded"}))
    row = {"seed": 0, "arm": "standard", "loss": 0.5, "validation": None}
    first = {"id": "0-standard-20", **row, "epoch": 20}
    again = {"id": "0-standard-10", **row, "epoch": 10}
    peer.on(
        "GET /v1/jobs/job_1/metrics",
        (200, {"data": [first], "has_more": False}),
        (422, {"code": "unknown_cursor", "detail": "`after` must be the id of one of this job's epochs."}),
        (200, {"data": [again], "has_more": False}),
    )
    result = cli("jobs", "submit", "ds_1", "--wait")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[0] == "job_1"
    assert (
        result.stderr.index("epoch 20") < result.stderr.index("begins anew") < result.stderr.index("epoch 10")
    )


@pytest.mark.parametrize("status", [429, 503])
def test_following_puts_up_with_a_service_that_has_no_time(peer, cli, monkeypatch, status):
    monkeypatch.setattr("app.sdk.transport.RETRIED_STATUSES", frozenset())
    ended = {**JOB, "started_at": JOB["created_at"], "status": "succeeded"}
    peer.on("GET /v1/jobs/job_1", (200, ended))
    peer.on("GET /v1/jobs/job_1/metrics", (status, {"code": "x", "detail": "Not now."}))
    result = cli("jobs", "watch", "job_1")
    assert result.exit_code == 0, result.output
    assert "does not answer just now" in result.output


def test_the_report_is_markdown_or_json(peer, cli):
    peer.on("GET /v1/jobs/job_1/report", (200, "# Report\n"))
    assert cli("jobs", "report", "job_1").stdout == "# Report\n\n"
    peer.on("GET /v1/jobs/job_1/report", (200, {"schema_version": 1}))
    assert cli.json("jobs", "report", "job_1") == {"schema_version": 1}


def test_report_manifest_and_figures_are_written_to_files(peer, cli, tmp_path):
    peer.on("GET /v1/jobs/job_1/report", (200, "<!DOCTYPE html>"))
    for more in (["-o", str(tmp_path / "r.html")], ["--format", "html", "-o", str(tmp_path / "r.txt")]):
        assert cli("jobs", "report", "job_1", *more).exit_code == 0
        assert "format=html" in peer.queries[-1]
        assert pathlib.Path(more[-1]).read_text() == "<!DOCTYPE html>"
    assert cli("jobs", "report", "job_1", "-o", str(tmp_path / "r.txt")).exit_code == 0
    assert "format=md" in peer.queries[-1]
    peer.on("GET /v1/jobs/job_1/manifest", (200, {"format": "m"}))
    assert json.loads(cli("jobs", "manifest", "job_1").stdout) == {"format": "m"}
    assert cli.json("jobs", "manifest", "job_1") == {"format": "m"}
    page = {"object": "list", "data": [{"id": "pareto"}], "has_more": False, "last_id": "pareto"}
    peer.on("GET /v1/jobs/job_1/figures", (200, page))
    peer.on("GET /v1/jobs/job_1/figures/pareto.svg", (200, "<svg/>"))
    assert cli("jobs", "figures", "job_1").stdout == "pareto\n"
    assert cli("jobs", "figures", "job_1", "-o", str(tmp_path / "f")).exit_code == 0
    assert (tmp_path / "f" / "pareto.svg").read_text() == "<svg/>"


def test_recommend_takes_items_apart_and_replacements(peer, cli):
    answer = {"data": [{"items": [{"item": "i9", "score": 1.5}]}]}
    peer.on("POST /v1/models/mdl_1/recommend", (200, answer))
    assert cli.json("models", "recommend", "mdl_1", "a", "b", "-k", "3", "--replace", "-1=c") == [
        {"item": "i9", "score": 1.5}
    ]
    cli("models", "recommend", "mdl_1", "a,b", "--no-exclude-seen")
    first, second = peer.bodies
    assert (first["sequences"], first["k"]) == ([["a", "b"]], 3)
    assert (second["sequences"], second["exclude_seen"]) == ([["a", "b"]], False)


def test_version(cli):
    assert cli("--version").stdout.startswith("steadyrank 0.")


def test_a_job_is_shown_with_where_it_is_and_afterwards_with_what_it_took(peer, cli):
    running = {
        **JOB,
        "status": "running",
        "phase": "training",
        "arm": "cascade",
        "seed": 1,
        "spec": {"epochs": 60},
        "progress": {"fraction": 0.46, "epoch": 12, "eta_at": "2026-01-01T00:20:00Z"},
        "started_at": "2026-01-01T00:01:00Z",
    }
    ended = {**running, "status": "succeeded", "phase": None, "ended_at": "2026-01-01T00:02:17Z"}
    peer.on("GET /v1/jobs/job_1", (200, running), (200, ended))
    now = " ".join(cli("jobs", "show", "job_1").stdout.split())
    assert "trains cascade, seed 1, epoch 12 of at most 60 ends about" in now
    assert "took" not in now
    then = " ".join(cli("jobs", "show", "job_1").stdout.split())
    assert "took 1:17" in then
    assert "trains" not in then
    assert "ends about" not in then


def test_a_filter_that_no_job_meets_is_not_told_as_no_jobs(peer, cli):
    peer.on("GET /v1/jobs", (200, {"data": [], "has_more": False}), (200, {"data": [], "has_more": False}))
    assert "No jobs yet" in cli("jobs", "list").stdout
    assert "No job is like that" in cli("jobs", "list", "--status", "failed").stdout
