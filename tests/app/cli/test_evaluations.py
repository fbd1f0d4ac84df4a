from __future__ import annotations

EVALUATION = {
    "id": "eval_1",
    "status": "succeeded",
    "model": "mdl_1",
    "model_facts": {"name": "films", "version": 3},
    "dataset": "ds_1",
    "metrics": {"ndcg@10": 0.125},
    "warnings": [{"code": "unknown_items", "message": "2 items are unknown"}],
    "created_at": "2026-01-01T00:00:00Z",
}


def test_run_waits_and_prints_the_report(peer, cli):
    peer.on("POST /v1/evaluations", (201, {**EVALUATION, "status": "queued"}))
    peer.on("GET /v1/evaluations/eval_1", (200, EVALUATION))
    peer.on("GET /v1/evaluations/eval_1/report", (200, "# Evaluation of films\n"))
    result = cli(
        "evaluations", "run", "films@3", "ds_1", "--attack-positions", "end,start", "--attack-counts", "1,2"
    )
    assert result.exit_code == 0, result.output
    assert result.stdout == "# Evaluation of films\n"
    assert peer.bodies == [
        {
            "model": "films@3",
            "dataset": "ds_1",
            "attack_positions": ["end", "start"],
            "attack_counts": [1, 2],
        }
    ]


def test_one_that_failed_is_an_error_with_its_reason(peer, cli):
    error = {"code": "no_known_items", "message": "it knows none of them", "hint": "Look at the ids."}
    peer.on("POST /v1/evaluations", (201, {**EVALUATION, "status": "queued"}))
    peer.on("GET /v1/evaluations/eval_1", (200, {**EVALUATION, "status": "failed", "error": error}))
    result = cli("evaluations", "run", "films@3", "ds_1")
    assert result.exit_code == 1
    assert "it knows none of them" in result.stderr
    assert "Look at the ids." in result.stderr


def test_any_setting_is_set_and_waiting_has_an_end(peer, cli):
    peer.on("POST /v1/evaluations", (201, {**EVALUATION, "status": "queued"}))
    peer.on("GET /v1/evaluations/eval_1", (200, {**EVALUATION, "status": "running"}))
    late = cli("evaluations", "run", "films@3", "ds_1", "--set", "k_core=5", "--timeout", "0")
    assert (late.exit_code, "is still running after 0 s" in late.stderr) == (7, True)
    assert peer.bodies == [{"model": "films@3", "dataset": "ds_1", "k_core": 5}]
    for given in ("dataset=ds_2", "idempotency_key=a"):
        assert cli("evaluations", "run", "films@3", "ds_1", "--set", given).exit_code == 2


def test_one_that_was_cancelled_ends_as_a_cancelled_job_does(peer, cli):
    peer.on("POST /v1/evaluations", (201, {**EVALUATION, "status": "queued"}))
    peer.on("GET /v1/evaluations/eval_1", (200, {**EVALUATION, "status": "cancelled", "error": None}))
    result = cli("evaluations", "run", "films@3", "ds_1")
    assert (result.exit_code, "The evaluation is cancelled." in result.stderr) == (4, True)


def test_counts_that_are_no_numbers_are_bad_input(peer, cli):
    result = cli("evaluations", "run", "films@3", "ds_1", "--attack-counts", "one")
    assert result.exit_code == 2
    assert peer.bodies == []


def test_they_are_listed_shown_cancelled_and_deleted(peer, cli):
    peer.on("GET /v1/evaluations", (200, {"data": [EVALUATION], "has_more": False}))
    peer.on("GET /v1/evaluations/eval_1", (200, EVALUATION))
    peer.on("POST /v1/evaluations/eval_1/cancel", (200, {**EVALUATION, "status": "cancelling"}))
    peer.on("DELETE /v1/evaluations/eval_1", (200, {"id": "eval_1", "deleted": True, "freed_bytes": 9}))
    assert "films@3" in cli("evaluations", "list").stdout
    assert cli.json("evaluations", "list") == [EVALUATION]
    shown = cli("evaluations", "show", "eval_1").stdout
    assert "0.1250" in shown
    assert "2 items are unknown" in shown
    assert "cancelling" in cli("evaluations", "cancel", "eval_1").stdout
    assert cli.json("evaluations", "delete", "eval_1")["freed_bytes"] == 9
    assert "9 B came free" in cli("evaluations", "delete", "eval_1").stdout
