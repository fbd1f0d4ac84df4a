"""What the doctor says of public logs, held against counts made in another way."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from worker.training.data.readers.read import OpenFile, ReadOptions, read_interactions
from worker.training.doctor.examine import examine
from worker.training.doctor.findings import Finding
from worker.training.doctor.log import log_of
from worker.training.doctor.preview import preview_of

DATA = os.environ.get("SHARED_DATA")

pytestmark = pytest.mark.skipif(DATA is None, reason="SHARED_DATA names no folder with the public data sets")


def _examined(name: str) -> tuple[dict[str, Finding], dict[str, Any]]:
    found: dict[str, Finding] = {}
    preview: dict[str, Any] = {}

    def look(file: OpenFile) -> None:
        log = log_of(file.result.interactions, file.result.rows)
        found.update((finding.code, finding) for finding in examine(log, file.lines_of))
        preview.update(preview_of(file.result.interactions, file.result.rows, file.plain))

    read_interactions(Path(str(DATA)) / name, ReadOptions(), inspect=look)
    return found, preview


def test_movielens_100k() -> None:
    found, preview = _examined("ml-100k.inter")
    lines = (Path(str(DATA)) / "ml-100k.inter").read_text(encoding="utf-8").splitlines()
    times: dict[str, list[int]] = defaultdict(list)
    back = []
    for number, line in enumerate(lines[1:], 2):
        user, _, _, time = line.split("\t")
        if times[user] and int(float(time)) < times[user][-1]:
            back.append(number)
        times[user].append(int(float(time)))
    last_two = [sorted(of_user)[-2:] for of_user in times.values()]
    tied = sum(first == last for first, last in last_two)
    assert found["equal_times"].facts["users_last_two_tied"] == tied
    assert round(tied / len(last_two), 2) == 0.44
    assert (found["unordered_times"].count, found["unordered_times"].lines) == (len(back), back[:10])
    assert found["future_leakage"].share == pytest.approx(0.4125, abs=0.0001)
    assert not {"duplicates", "short_users", "bot_like_users", "early_times", "future_times"} & set(found)
    assert preview["lines"] == lines[:100]
    assert [row["user"] for row in preview["rows"]] == [line.split("\t")[0] for line in lines[1:101]]
    assert preview["rows"][0] == {"user": "196", "item": "242", "time": "1997-12-04T15:55:49Z", "rating": 3.0}


def test_amazon_video_games() -> None:
    found, preview = _examined("Video.txt")
    rows = [line.split() for line in (Path(str(DATA)) / "Video.txt").read_text(encoding="utf-8").splitlines()]
    histories: dict[str, list[str]] = defaultdict(list)
    for user, item in rows:
        histories[user].append(item)
    short = [user for user, items in histories.items() if len(items) < 3]
    trained = {item for items in histories.values() for item in (items[:-2] if len(items) > 2 else items)}
    cold = sum(items[-1] not in trained for items in histories.values() if len(items) > 2)
    popular = Counter(item for _, item in rows).most_common(-(-len({item for _, item in rows}) // 100))
    assert (found["short_users"].count, found["cold_test_items"].count) == (len(short), cold)
    assert found["popularity_skew"].share == pytest.approx(sum(count for _, count in popular) / len(rows))
    assert found["repeat_consumption"].count == 0
    assert not {"equal_times", "future_leakage", "cold_test_items_temporal"} & set(found)  # no times
    assert preview["rows"][0] == {"user": rows[0][0], "item": rows[0][1], "time": None, "rating": None}
