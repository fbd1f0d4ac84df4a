from __future__ import annotations

import hashlib
import zipfile
from itertools import pairwise

import pytest

from app.cli.demo import data, synthetic
from app.cli.demo.data import demo_log, user_histories

LOG = (
    b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n7\t50\t3\t20\n7\t51\t4\t10\n8\t50\t1\t5\n"
)
ITEMS = b"item_id:token\tmovie_title:token_seq\trelease_year:token\n50\tStar Wars\t1977\n"


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder that pip takes for its whole index, with a small wheel of the right name in it."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "recbole-1.2.1-py3-none-any.whl", "w") as wheel:
        wheel.writestr(data.FOLDER_IN_WHEEL + data.LOG, LOG)
        wheel.writestr(data.FOLDER_IN_WHEEL + data.ITEMS, ITEMS)
        wheel.writestr(
            "recbole-1.2.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: recbole\nVersion: 1.2.1\n"
        )
        wheel.writestr("recbole-1.2.1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("recbole-1.2.1.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def test_the_log_comes_out_of_the_wheel_and_is_kept(wheels, monkeypatch, tmp_path):
    digests = {data.LOG: hashlib.sha256(LOG).hexdigest(), data.ITEMS: hashlib.sha256(ITEMS).hexdigest()}
    monkeypatch.setattr(data, "SHA256", digests)
    log = demo_log(tmp_path / "cache")
    assert (log.excuse, log.path.read_bytes(), log.titles) == ("", LOG, {"50": "Star Wars"})
    assert user_histories(log) == {"8": ["50"], "7": ["51", "50"]}
    next(wheels.iterdir()).unlink()
    assert demo_log(tmp_path / "cache").excuse == "", "the second time nothing is fetched"


def test_another_file_under_that_name_is_not_taken_for_it(wheels, tmp_path):
    log = demo_log(tmp_path / "cache")
    assert "not the file that was expected" in log.excuse
    assert log.path.name == "synthetic.csv"


def test_out_of_reach_means_a_synthetic_log_that_says_so(wheels, tmp_path):
    next(wheels.iterdir()).unlink()
    log = demo_log(tmp_path / "cache")
    assert "recbole" in log.excuse
    assert len(user_histories(log)) == synthetic.USERS


def test_the_synthetic_log_is_the_same_every_time(tmp_path):
    first = synthetic.write_log(tmp_path / "a.csv").read_bytes()
    assert synthetic.write_log(tmp_path / "b.csv").read_bytes() == first


def test_order_can_be_learnt_from_the_synthetic_log_and_popularity_does_badly(tmp_path):
    log = data.DemoLog(synthetic.write_log(tmp_path / "log.csv"), "synthetic", {})
    histories = list(user_histories(log).values())
    follows: dict[str, dict[str, int]] = {}
    counts: dict[str, int] = {}
    for history in histories:
        for item, after in pairwise(history[:-1]):
            followers = follows.setdefault(item, {})
            followers[after] = followers.get(after, 0) + 1
            counts[after] = counts.get(after, 0) + 1
    popular = max(counts, key=lambda item: counts[item])
    guessed = sum(
        history[-2] in follows
        and max(follows[history[-2]], key=follows[history[-2]].__getitem__) == history[-1]
        for history in histories
    )
    assert guessed / len(histories) > 0.5
    assert sum(history[-1] == popular for history in histories) / len(histories) < 0.05
