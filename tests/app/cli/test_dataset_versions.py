"""The commands around findings, previews and versions of data sets."""

from __future__ import annotations

from typing import Any

import pytest

READY: dict[str, Any] = {
    "id": "ds_2",
    "object": "dataset",
    "name": "log",
    "version": 2,
    "status": "ready",
    "filename": "log.parquet",
    "bytes": 10,
    "sha256": "ab",
    "columns": {},
    "stats": {},
    "problems": [],
    "lineage": {"parent": "ds_1", "transforms": [{"name": "forget", "unknown_at": [1]}]},
    "used_by": {"jobs": 2, "models": 6, "datasets": 0},
    "created_at": "2026-01-01T00:00:00Z",
}
REPORT: dict[str, Any] = {
    "problems": [
        {"code": "no_header", "severity": "warning", "message": "no header", "count": 0, "lines": []}
    ],
    "findings": [
        {
            "code": "duplicates",
            "severity": "warning",
            "message": "2 interactions [twice].",
            "count": 2,
            "share": 0.1,
            "lines": [4, 5, 6, 7],
            "fix": {"kind": "transform", "name": "drop_duplicates", "description": "", "value": None},
        },
        {
            "code": "future_leakage",
            "severity": "warning",
            "message": "Others' future.",
            "count": 9,
            "share": 0.4,
            "lines": [],
            "fix": {"kind": "setting", "name": "split", "description": "", "value": "temporal"},
        },
    ],
}


def test_a_report_is_a_table_with_its_fixes(peer, cli):
    peer.on("GET /v1/datasets/ds_1/report", (200, REPORT))
    shown = cli("datasets", "report", "ds_1").stdout
    for part in ("no_header", "drop_duplicates", "split=temporal (of a job)", "4, 5, 6", "10.0 %", "[twice]"):
        assert part in shown
    assert cli.json("datasets", "report", "ds_1") == REPORT
    peer.on("GET /v1/datasets/ds_1/report", (200, "# Data set ds_1\n"))
    assert cli("datasets", "report", "ds_1", "--markdown").stdout == "# Data set ds_1\n"
    assert peer.queries[-1] == "format=md"


def test_a_preview_is_a_table(peer, cli):
    row = {"user": "[b]u[/]", "item": "i", "time": None, "rating": 3.5}
    peer.on("GET /v1/datasets/ds_1/preview", (200, {"rows": [row], "lines": None}))
    shown = cli("datasets", "preview", "ds_1", "--limit", "3").stdout
    assert "[b]u[/]" in shown
    assert "3.5" in shown
    assert peer.queries == ["limit=3"]


def test_transforms_are_asked_for_in_order(peer, cli):
    peer.on("POST /v1/datasets/ds_1/transform", (201, {**READY, "status": "validating"}))
    peer.on("GET /v1/datasets/ds_2", (200, READY))
    result = cli("datasets", "transform", "ds_1", "strip_ids", "drop_duplicates", "--name", "clean")
    assert result.exit_code == 0, result.output
    assert peer.bodies == [{"transforms": ["strip_ids", "drop_duplicates"], "name": "clean"}]
    for part in ("log (version 2)", "ds_1 by forget", "2 jobs, 6 models"):
        assert part in result.stdout


def test_users_to_forget_come_from_arguments_and_a_file(peer, cli, tmp_path):
    listed = tmp_path / "users.txt"
    listed.write_text("ben\n\ncleo\n")
    peer.on("POST /v1/datasets/ds_1/forget", (201, READY))
    peer.on("GET /v1/datasets/ds_2", (200, READY))
    result = cli("datasets", "forget", "ds_1", "anna", "--file", str(listed), "--delete-parent")
    assert result.exit_code == 0, result.output
    assert peer.bodies == [{"users": ["anna", "ben", "cleo"], "delete_parent": True}]
    assert result.stderr.strip() == "not in the data set: 'ben'"


def test_ids_in_a_file_are_taken_to_the_letter(peer, cli, tmp_path):
    odd = ["anna", " ben\u2028", "c\x85d", "e\x0bf\x0cg", "h\ri"]
    listed = tmp_path / "users.txt"
    listed.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(odd).encode() + b"\r\n")
    peer.on("POST /v1/datasets/ds_1/forget", (201, READY))
    peer.on("GET /v1/datasets/ds_2", (200, READY))
    result = cli("datasets", "forget", "ds_1", "--file", str(listed))
    assert peer.bodies == [{"users": odd, "delete_parent": False}]
    assert result.stderr.strip() == r"not in the data set: ' ben\u2028'"


def test_a_file_that_is_no_utf_8_forgets_nobody(peer, cli, tmp_path):
    listed = tmp_path / "users.txt"
    listed.write_bytes("andré".encode("latin-1"))
    result = cli("datasets", "forget", "ds_1", "--file", str(listed))
    assert result.exit_code == 2
    assert "is not UTF-8 text: byte 0xe9 at offset 4" in result.stderr
    assert peer.bodies == []


@pytest.mark.parametrize("arguments", [[], ["--file", "/dev/null"]])
def test_nobody_to_forget_is_wrong_usage(cli, arguments):
    result = cli("datasets", "forget", "ds_1", *arguments)
    assert result.exit_code == 2
    assert "name users" in result.stderr
