"""Training states of a job are listed and downloaded."""

from __future__ import annotations

import hashlib


def test_a_checkpoint_is_listed_and_downloaded(peer, cli, tmp_path):
    content = "state"
    checkpoint = {
        "id": "ckpt_1",
        "kind": "best",
        "arm": "cascade",
        "epoch": 7,
        "bytes": len(content),
        "sha256": hashlib.sha256(content.encode()).hexdigest(),
    }
    peer.on("GET /v1/jobs/job_1/checkpoints", (200, {"data": [checkpoint], "has_more": False}))
    peer.on("GET /v1/checkpoints/ckpt_1", (200, checkpoint))
    peer.on("GET /v1/checkpoints/ckpt_1/content", (200, content))
    assert "cascade" in cli("jobs", "checkpoints", "job_1").stdout
    result = cli("jobs", "checkpoint", "ckpt_1", str(tmp_path / "state.safetensors"))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "state.safetensors").read_text() == content
