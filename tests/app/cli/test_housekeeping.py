"""Commands that look after uploads and names of models."""

from __future__ import annotations

import hashlib

FREED = {"deleted": True, "freed_bytes": 1_500}


def test_uploads_are_listed_and_abandoned(peer, cli):
    upload = {"id": "up_1", "status": "open", "filename": "log.csv", "part_bytes": 8, "bytes": 2_000_000}
    peer.on("GET /v1/uploads", (200, {"data": [upload], "has_more": False}))
    peer.on("DELETE /v1/uploads/up_1", (200, {"id": "up_1", **FREED}))
    listed = cli("uploads", "list", "--status", "open").stdout
    assert "up_1" in listed
    assert "2.0 MB" in listed
    assert "status=open" in peer.queries[0]
    assert cli.json("uploads", "list") == [upload]
    assert "1.5 kB came free" in cli("uploads", "abandon", "up_1").stdout


def test_a_card_is_printed_as_it_is(peer, cli):
    peer.on("GET /v1/models/mdl_1/card", (200, "# films\n"))
    assert cli("models", "card", "mdl_1").stdout == "# films\n"
    assert cli.json("models", "card", "mdl_1") == {"model": "mdl_1", "card": "# films\n"}


def test_a_gate_may_be_of_another_attack_and_of_figures_measured_otherwise(peer, cli):
    alias = {"name": "films", "alias": "production", "version": 2, "model": "mdl_2"}
    peer.on("PUT /v1/models/films/aliases/production", (200, alias))
    gate = "attacked.kept:at_least:0.6:position=start,count=2"
    promote = ("models", "promote", "films", "2", "production", "--promote-if")
    done = cli(*promote, gate, "--allow-mixed-protocol")
    assert done.exit_code == 0, done.output
    (body,) = peer.bodies
    condition = {"metric": "attacked.kept", "at_least": 0.6, "position": "start", "count": 2}
    assert (body["promote_if"], body["allow_mixed_protocol"]) == ([condition], True)
    assert cli(*promote, "attacked.kept:at_least:0.6:place=start").exit_code == 2


def test_a_remote_key_is_of_no_other_project(peer, cli):
    refused = cli("keys", "create", "--remote", "--project", "shop")
    assert (refused.exit_code, "--project" in refused.stderr) == (2, True)
    assert peer.bodies == []


def test_models_and_aliases_are_deleted(peer, cli):
    peer.on("DELETE /v1/models/mdl_1", (200, {"id": "mdl_1", **FREED}))
    peer.on("DELETE /v1/models/films/aliases/production", (200, {"deleted": True}))
    assert "1.5 kB came free" in cli("models", "delete", "mdl_1").stdout
    assert "films@production is deleted" in cli("models", "delete-alias", "films", "production").stdout


def test_a_batch_may_hold_items_of_the_histories(peer, cli, tmp_path):
    content = "parquet"
    batch = {
        "id": "rec_1",
        "model": "mdl_1",
        "dataset": "ds_1",
        "status": "succeeded",
        "bytes": len(content),
        "sha256": hashlib.sha256(content.encode()).hexdigest(),
        "stats": {"rows": 6, "users": 2, "recommended_users": 2, "unknown_items": 1},
    }
    path = "/v1/models/mdl_1/recommendations"
    peer.on(f"POST {path}", (201, {**batch, "status": "queued"}))
    peer.on(f"GET {path}/rec_1", (200, batch))
    peer.on(f"GET {path}/rec_1/content", (200, content))
    target = tmp_path / "out.parquet"
    begin = ("models", "recommend-batch", "mdl_1", "ds_1")
    assert cli(*begin, "--no-wait", "--no-exclude-seen").stdout == "rec_1\n"
    assert cli(*begin).exit_code == 2
    assert peer.bodies == [{"dataset": "ds_1", "k": 10, "exclude_seen": False}]
    peer.bodies.clear()
    done = cli("models", "recommend-batch", "mdl_1", "ds_1", str(target), "--no-exclude-seen")
    assert "6 rows for 2 of 2 users" in done.stdout.replace("\n", " "), done.output
    assert "rec_1: succeeded" in done.stderr
    assert target.read_text() == content
    assert peer.bodies == [{"dataset": "ds_1", "k": 10, "exclude_seen": False}]
    peer.on(f"GET {path}/rec_1", (200, {**batch, "status": "running"}))
    late = cli(*begin, str(target), "--timeout", "0")
    assert (late.exit_code, "batch rec_1 is still running after 0 s" in late.stderr) == (7, True)
    error = {"code": "no_known_items", "message": "it knows none of them", "hint": "Look at the ids."}
    peer.on(f"GET {path}/rec_1", (200, {**batch, "status": "failed", "error": error}))
    failed = cli(*begin, str(target))
    assert (failed.exit_code, "it knows none of them" in failed.stderr) == (1, True)
