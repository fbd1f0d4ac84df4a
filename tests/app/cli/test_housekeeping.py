"""Commands that look after uploads and names of models."""

from __future__ import annotations

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


def test_models_and_aliases_are_deleted(peer, cli):
    peer.on("DELETE /v1/models/mdl_1", (200, {"id": "mdl_1", **FREED}))
    peer.on("DELETE /v1/models/films/aliases/production", (200, {"deleted": True}))
    assert "1.5 kB came free" in cli("models", "delete", "mdl_1").stdout
    assert "films@production is deleted" in cli("models", "delete-alias", "films", "production").stdout
